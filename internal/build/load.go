package build

import (
	"bytes"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// loaded are the paths of a kustomization that kustomize reads as files.
func loaded(k types.Kustomization) []string {
	paths := append(append([]string{k.OpenAPI["path"]}, k.Crds...), k.Configurations...)
	//lint:ignore SA1019 bundles in the wild still use the old fields, and kustomize reads them
	for _, p := range k.PatchesStrategicMerge {
		paths = append(paths, string(p))
	}
	//lint:ignore SA1019 likewise
	for _, p := range append(append([]types.Patch{}, k.Patches...), k.PatchesJson6902...) {
		paths = append(paths, p.Path)
	}
	for _, r := range k.Replacements {
		paths = append(paths, r.Path)
	}
	for _, g := range k.ConfigMapGenerator {
		paths = append(paths, sources(g.FileSources, g.EnvSources)...)
	}
	for _, g := range k.SecretGenerator {
		paths = append(paths, sources(g.FileSources, g.EnvSources)...)
	}
	return paths
}

// sources are the paths of "path" and "key=path".
func sources(lists ...[]string) []string {
	var paths []string
	for _, list := range lists {
		for _, source := range list {
			_, file, _ := strings.Cut(source, "=")
			paths = append(paths, source, file)
		}
	}
	return paths
}

// plugin checks the configurations of kustomize's own generators and
// transformers: they name files too.
func (c *completeness) plugin(file string, raw []byte) error {
	decoder := kyaml.NewDecoder(bytes.NewReader(raw))
	for {
		var doc any
		if decoder.Decode(&doc) != nil {
			return nil // the end, or what kustomize says itself
		}
		if p := urlIn(doc, false); p != "" {
			return missing(file, "path", p)
		}
	}
}

// urlIn finds a URL among the values of fields that hold paths.
func urlIn(value any, isPath bool) string {
	switch value := value.(type) {
	case string:
		for _, p := range sources([]string{value}) {
			if isPath && isURL(p) {
				return p
			}
		}
	case []any:
		for _, v := range value {
			if p := urlIn(v, isPath); p != "" {
				return p
			}
		}
	case map[string]any:
		for key, v := range value {
			if p := urlIn(v, pathFields[key]); p != "" {
				return p
			}
		}
	}
	return ""
}

var pathFields = map[string]bool{"path": true, "paths": true, "files": true, "env": true, "envs": true}
