package build

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"
)

// ErrNoPath says that the directory to build is not in the bundle.
var ErrNoPath = errors.New("path not found")

// Run builds a directory by itself, without a Kustomization, with the options
// that Flux builds with; a kustomization.yaml is generated where there is none.
// It is stricter than Build with the directory's own kustomization file, as
// kustomize is: unknown fields are errors.
func Run(fsys fs.FS, dir string) (resmap.ResMap, error) {
	dir = path.Clean(strings.TrimPrefix(dir, "/"))
	if err := isDir(fsys, dir); err != nil {
		return nil, err
	}
	objects, err := run(fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("building %s: %w", dir, err)
	}
	return objects, nil
}

func run(fsys fs.FS, dir string) (resmap.ResMap, error) {
	file, err := KustomizationFile(fsys, dir)
	if err == nil {
		raw, err := fs.ReadFile(fsys, file)
		if err != nil {
			return nil, err
		}
		return evaluate(fsys, file, raw)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	k, file, _, err := start(fsys, dir)
	if err != nil {
		return nil, err
	}
	raw, err := yaml.Marshal(k)
	if err != nil {
		return nil, err
	}
	objects, err := evaluate(fsys, file, raw)
	if err != nil {
		return nil, blame(fsys, dir, k.Resources, err)
	}
	return objects, nil
}

func isDir(fsys fs.FS, dir string) error {
	info, err := fs.Stat(fsys, dir)
	switch {
	case err == nil && !info.IsDir():
		return fmt.Errorf("%w: %q is a file, not a directory", ErrNoPath, dir)
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid):
		return fmt.Errorf("%w: the bundle has no directory %q", ErrNoPath, dir)
	}
	return fmt.Errorf("%w: %w", ErrNoPath, err)
}

// evaluate runs kustomize on a directory whose kustomization file has the
// given text (fluxcd/pkg/kustomize/kustomize_generator.go Build): load
// restrictions off, plugins disabled.
func evaluate(fsys fs.FS, file string, text []byte) (objects resmap.ResMap, err error) {
	complete := &completeness{fsys: fsys, seen: map[string]bool{}}
	if err := complete.file(file, text, false); err != nil {
		return nil, err
	}
	defer lockSchema(complete.schema)()
	defer func() {
		// kustomize panics on some malformed input; one bundle must not take
		// the process with it.
		if p := recover(); p != nil {
			err = fmt.Errorf("kustomize failed on %s: %v", path.Dir(file), p)
		}
	}()
	options := krusty.MakeDefaultOptions()
	options.LoadRestrictions = types.LoadRestrictionsNone
	options.PluginConfig = types.DisabledPluginConfig()
	objects, err = krusty.MakeKustomizer(options).Run(view{fsys, file, text}, path.Join(root, path.Dir(file)))
	if err != nil {
		return nil, errors.New(plain(err.Error()))
	}
	return objects, nil
}
