package build

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/internal/object"
)

// set is what kustomize made of a directory. It is shared and never changed.
type set struct {
	resources []frozen
	empty     bool
	patches   []PatchMatches
}

// frozen is an object as kustomize gives it.
type frozen struct {
	id      object.ID
	yaml    []byte
	literal bool // variables in it are not replaced
}

// weight is roughly what a set takes in memory, in bytes.
func (s *set) weight() int64 {
	total := int64(1024)
	for _, r := range s.resources {
		total += int64(len(r.yaml)) + 256
	}
	return total
}

// prepare runs kustomize on the directory of the spec.
func prepare(fsys fs.FS, spec *kustomizev1.KustomizationSpec) (*set, error) {
	dir := directory(spec.Path)
	if err := isDir(fsys, dir); err != nil {
		return nil, fmt.Errorf("kustomization %w", err)
	}
	k, file, generated, err := start(fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("generating kustomization.yaml of %q: %w", dir, err)
	}
	if err := merge(fsys, dir, &k, spec); err != nil {
		return nil, fmt.Errorf("generating kustomization.yaml of %q: %w", dir, err)
	}
	text, err := yaml.Marshal(k)
	if err != nil {
		return nil, fmt.Errorf("generating kustomization.yaml of %q: %w", dir, err)
	}
	objects, err := evaluate(fsys, file, text)
	if err != nil && generated {
		err = blame(fsys, dir, k.Resources, err)
	}
	if err != nil {
		return nil, fmt.Errorf("kustomize build failed: %w", badPatch(err, spec.Patches))
	}
	made := &set{empty: generated && objects.Size() == 0}
	if made.resources, err = freeze(objects); err != nil {
		return nil, fmt.Errorf("kustomize build failed: %w", err)
	}
	made.patches, err = match(objects, k, spec.Patches, func(marked []string) (resmap.ResMap, error) {
		k := k
		k.Patches = mark(k.Patches, marked)
		text, err := yaml.Marshal(k)
		if err != nil {
			return nil, err
		}
		return evaluate(fsys, file, text)
	})
	return made, err
}

// directory is the directory of spec.path in the bundle. What leads out of the
// bundle ends at its root, as with Flux (filepath-securejoin).
func directory(p string) string {
	return path.Clean(strings.TrimPrefix(path.Join("/", p), "/"))
}

func freeze(objects resmap.ResMap) ([]frozen, error) {
	list := make([]frozen, 0, objects.Size())
	for _, r := range objects.Resources() {
		id := object.ID{Group: r.GetGvk().Group, Kind: r.GetKind(), Namespace: r.GetNamespace(), Name: r.GetName()}
		if id.Name == "" || id.Kind == "" || r.GetApiVersion() == "" {
			return nil, fmt.Errorf("%s has no name, no kind or no apiVersion", id)
		}
		text, err := r.AsYAML()
		if err != nil {
			return nil, fmt.Errorf("writing %s: %w", id, err)
		}
		list = append(list, frozen{id: id, yaml: text, literal: optedOut(r)})
	}
	return list, nil
}

// optedOut: the object's variables stay as they are
// (fluxcd/pkg/kustomize/kustomize_varsub.go).
func optedOut(r *resource.Resource) bool {
	return r.GetLabels()[optOut] == kustomizev1.DisabledValue || r.GetAnnotations()[optOut] == kustomizev1.DisabledValue
}

const optOut = "kustomize.toolkit.fluxcd.io/substitute"
