// Package crd carries Flux's custom resource definitions, unchanged.
//
// In: nothing; `go generate` takes the files from Flux's own modules. Out:
// the definitions as objects, in a stable order. It never changes a schema:
// Flux's API is our API.
package crd

import (
	"embed"
	"fmt"
	"io/fs"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

//go:generate go run ./gen

//go:embed *.yaml
var files embed.FS

// Definitions returns all of them, sorted by file name.
func Definitions() ([]*apiextensionsv1.CustomResourceDefinition, error) {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return nil, err
	}
	var all []*apiextensionsv1.CustomResourceDefinition
	for _, name := range names {
		raw, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(raw, crd); err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		all = append(all, crd)
	}
	return all, nil
}
