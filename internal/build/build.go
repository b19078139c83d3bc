package build

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
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
func lockSchema(fsys fs.FS) (unlock func(), err error) {
	own, err := bringsSchema(fsys)
	if err != nil {
		return nil, err
	}
	if !own {
		schema.RLock()
		parseSchema()
		return schema.RUnlock, nil
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
	}, nil
}

// bringsSchema looks for the field "openapi" in any kustomization file: bases
// and components count too.
func bringsSchema(fsys fs.FS) (bool, error) {
	found := false
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !slices.Contains(konfig.RecognizedKustomizationFileNames(), d.Name()) {
			return err
		}
		raw, err := fs.ReadFile(fsys, p)
		found = found || bytes.Contains(raw, []byte("openapi:")) || bytes.Contains(raw, []byte(`"openapi"`))
		return err
	})
	return found, err
}

// ErrNoPath says that the directory to build is not in the bundle.
var ErrNoPath = errors.New("path not found")

// Run builds a directory with the options that Flux builds with
// (fluxcd/pkg/kustomize/kustomize_generator.go Build): load restrictions off,
// plugins disabled, and a kustomization.yaml generated where there is none.
func Run(fsys fs.FS, dir string) (objects resmap.ResMap, err error) {
	dir = path.Clean(strings.TrimPrefix(dir, "/"))
	if info, err := fs.Stat(fsys, dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%w: the bundle has no directory %q", ErrNoPath, dir)
	}
	copied, err := inMemory(fsys)
	if err != nil {
		return nil, err
	}
	complete := completeness{fsys, map[string]bool{}}
	if _, err := KustomizationFile(fsys, dir); errors.Is(err, fs.ErrNotExist) {
		generated, err := generate(fsys, dir)
		if err != nil {
			return nil, fmt.Errorf("building %s: %w", dir, err)
		}
		file := path.Join(dir, "kustomization.yaml")
		if err := copied.WriteFile(path.Join(root, file), generated); err != nil {
			return nil, err
		}
		err = complete.file(file, generated)
		if err != nil {
			return nil, fmt.Errorf("building %s: %w", dir, err)
		}
	} else if err := complete.dir(dir); err != nil {
		return nil, fmt.Errorf("building %s: %w", dir, err)
	}
	unlock, err := lockSchema(fsys)
	if err != nil {
		return nil, err
	}
	defer unlock()
	options := krusty.MakeDefaultOptions()
	options.LoadRestrictions = types.LoadRestrictionsNone
	options.PluginConfig = types.DisabledPluginConfig()
	defer func() {
		// kustomize panics on some malformed input; one bundle must not take
		// the process with it.
		if p := recover(); p != nil {
			err = fmt.Errorf("building %s: kustomize failed on it: %v", dir, p)
		}
	}()
	objects, err = krusty.MakeKustomizer(options).Run(copied, path.Join(root, dir))
	if err != nil {
		return nil, fmt.Errorf("building %s: %s", dir, plain(err.Error()))
	}
	return objects, nil
}

// root is where the bundle lies in kustomize's own file system.
const root = "/bundle"

// inMemory copies a tree into the file system kustomize works on; nothing it
// does reaches the bundle or the disk.
func inMemory(fsys fs.FS) (filesys.FileSystem, error) {
	copied := filesys.MakeFsInMemory()
	return copied, fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(fsys, p)
		if err != nil {
			return err
		}
		return copied.WriteFile(path.Join(root, p), data)
	})
}
