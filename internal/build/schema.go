package build

import (
	"sync"

	"sigs.k8s.io/kustomize/kyaml/openapi"
)

// kustomize keeps the OpenAPI schema in a global, parsed lazily and without a
// lock. Parsed once before the first build it is only read after, and builds
// run side by side; a tree that brings a schema of its own builds alone, and
// leaves the global as it found it.
var (
	schema      sync.RWMutex
	parseSchema = sync.OnceFunc(func() { openapi.Schema() })
)

// lockSchema returns the function that ends the build's hold on the global.
func lockSchema(own bool) (unlock func()) {
	if !own {
		schema.RLock()
		parseSchema()
		return schema.RUnlock
	}
	reset := func() {
		openapi.ResetOpenAPI()
		openapi.Schema()
	}
	schema.Lock()
	reset()
	return func() {
		reset()
		schema.Unlock()
	}
}
