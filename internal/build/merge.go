package build

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/kustomize"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"
	"sigs.k8s.io/yaml"
)

// start is the kustomization of a directory before anything is added: the
// file it has, or a generated one. Unknown fields of the file are dropped.
func start(fsys fs.FS, dir string) (k types.Kustomization, file string, generated bool, err error) {
	file, err = KustomizationFile(fsys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		k, err = generate(fsys, dir)
		return k, path.Join(dir, konfig.DefaultKustomizationFileName()), true, err
	}
	if err != nil {
		return k, "", false, err
	}
	raw, err := fs.ReadFile(fsys, file)
	if err != nil {
		return k, "", false, err
	}
	k.TypeMeta = kustomizationMeta
	if err := yaml.Unmarshal(raw, &k); err != nil {
		return k, "", false, fmt.Errorf("reading %s: %w", file, err)
	}
	if len(k.Resources) == 0 {
		// Without it kustomize may call the file empty.
		k.BuildMetadata = []string{types.OriginAnnotations}
	}
	return k, file, false, nil
}

// merge adds what the spec says to a kustomization, in Flux's order
// (fluxcd/pkg/kustomize/kustomize_generator.go GenerateManifest).
func merge(fsys fs.FS, dir string, k *types.Kustomization, spec *kustomizev1.KustomizationSpec) error {
	if spec.TargetNamespace != "" {
		k.Namespace = spec.TargetNamespace
	}
	if spec.NamePrefix != "" {
		k.NamePrefix = spec.NamePrefix
	}
	if spec.NameSuffix != "" {
		k.NameSuffix = spec.NameSuffix
	}
	for _, p := range spec.Patches {
		k.Patches = append(k.Patches, types.Patch{Patch: p.Patch, Target: selector(p.Target)})
	}
	for _, c := range spec.Components {
		if remote(c) || path.IsAbs(c) {
			return fmt.Errorf("spec.components: %q has to be a path relative to spec.path", c)
		}
		if _, err := fs.Stat(fsys, path.Join(dir, c)); err != nil && spec.IgnoreMissingComponents {
			continue
		}
		k.Components = append(k.Components, c)
	}
	for _, image := range spec.Images {
		mergeImage(k, image)
	}
	if len(spec.BuildMetadata) > 0 {
		k.BuildMetadata = nil
		for _, option := range spec.BuildMetadata {
			k.BuildMetadata = append(k.BuildMetadata, string(option))
		}
	}
	return nil
}

// mergeImage overrides the entry with the same name. Tag and digest choose the
// version together: one that is set clears the other.
func mergeImage(k *types.Kustomization, image kustomize.Image) {
	for i := range k.Images {
		have := &k.Images[i]
		if have.Name != image.Name {
			continue
		}
		if image.NewName != "" {
			have.NewName = image.NewName
		}
		if image.NewTag != "" || image.Digest != "" {
			have.NewTag, have.Digest = image.NewTag, image.Digest
		}
		return
	}
	k.Images = append(k.Images, types.Image{Name: image.Name, NewName: image.NewName, NewTag: image.NewTag, Digest: image.Digest})
}

func selector(s *kustomize.Selector) *types.Selector {
	if s == nil {
		return nil
	}
	return &types.Selector{
		ResId: resid.ResId{
			Gvk:  resid.Gvk{Group: s.Group, Version: s.Version, Kind: s.Kind},
			Name: s.Name, Namespace: s.Namespace,
		},
		LabelSelector: s.LabelSelector, AnnotationSelector: s.AnnotationSelector,
	}
}

var userAtHost = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9-]*@`)

// remote tells whether kustomize would take an entry for a git repository or
// a URL.
func remote(entry string) bool {
	entry = strings.TrimPrefix(strings.ToLower(entry), "git::")
	for _, prefix := range []string{"ssh://", "https://", "http://", "file://", "github.com/", "github.com:", "gh:"} {
		if strings.HasPrefix(entry, prefix) {
			return true
		}
	}
	rest := userAtHost.ReplaceAllString(entry, "")
	return rest != entry && (strings.Contains(rest, ":") || strings.Count(rest, "/") >= 2)
}

func isURL(text string) bool {
	text = strings.ToLower(text)
	return strings.HasPrefix(text, "https://") || strings.HasPrefix(text, "http://")
}
