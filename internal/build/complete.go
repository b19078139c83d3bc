package build

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"
)

// completeness looks whether everything that a build names lies in the bundle.
// kustomize itself would go to the network for the rest, with git and without
// a bound in time; a bundle that is pinned by its digest has to hold all of it.
type completeness struct {
	fsys fs.FS
	seen map[string]bool // directories
}

// dir checks a directory and all that it builds on.
func (c completeness) dir(dir string) error {
	if c.seen[dir] {
		return nil // kustomize knows best what to say about a cycle
	}
	c.seen[dir] = true
	file, err := KustomizationFile(c.fsys, dir)
	if err != nil {
		return nil
	}
	raw, err := fs.ReadFile(c.fsys, file)
	if err != nil {
		return err
	}
	return c.file(file, raw)
}

// file checks the text of a kustomization file.
func (c completeness) file(name string, raw []byte) error {
	var k types.Kustomization
	if yaml.Unmarshal(raw, &k) != nil {
		return nil // kustomize says what is wrong with it
	}
	if len(k.HelmCharts) > 0 || k.HelmGlobals != nil || len(k.HelmChartInflationGenerator) > 0 {
		return fmt.Errorf("%s: helm charts are not rendered here, nor by Flux: put the rendered objects into the bundle", name)
	}
	//lint:ignore SA1019 bundles in the wild still use the old field, and kustomize reads it
	bases := k.Bases
	for _, list := range []struct {
		field   string
		entries []string
	}{{"resources", k.Resources}, {"bases", bases}, {"components", k.Components}} {
		for _, entry := range list.entries {
			if err := c.entry(name, list.field, entry); err != nil {
				return err
			}
		}
	}
	for _, p := range loaded(k) {
		if isURL(p) {
			return missing(name, "path", p)
		}
	}
	return nil
}

func (c completeness) entry(file, field, entry string) error {
	if strings.Contains(entry, "\n") {
		return nil // an object in place of its path
	}
	at := path.Join(path.Dir(file), entry)
	info, err := fs.Stat(c.fsys, at)
	switch {
	case err != nil || isURL(entry):
		return missing(file, field, entry)
	case info.IsDir():
		return c.dir(at)
	}
	return nil
}

func missing(file, field, entry string) error {
	err := fmt.Errorf("%s: %s: %q is not in the bundle", file, field, entry)
	if host, _, _ := strings.Cut(entry, "/"); isURL(entry) || strings.Contains(entry, "?ref=") || strings.Contains(strings.Trim(host, "."), ".") && host != entry {
		err = fmt.Errorf("%w, and nothing is fetched from elsewhere: put a copy into the bundle", err)
	}
	return err
}

func isURL(text string) bool {
	return strings.HasPrefix(text, "https://") || strings.HasPrefix(text, "http://")
}

// loaded are the paths of a kustomization that kustomize reads as files.
func loaded(k types.Kustomization) []string {
	var paths []string
	for _, list := range [][]string{k.Crds, k.Configurations, k.Generators, k.Transformers, k.Validators} {
		paths = append(paths, list...)
	}
	//lint:ignore SA1019 likewise
	for _, p := range k.PatchesStrategicMerge {
		paths = append(paths, string(p))
	}
	//lint:ignore SA1019 likewise
	for _, p := range append(k.Patches, k.PatchesJson6902...) {
		paths = append(paths, p.Path)
	}
	for _, r := range k.Replacements {
		paths = append(paths, r.Path)
	}
	add := func(sources types.KvPairSources) {
		for _, source := range append(sources.FileSources, sources.EnvSources...) {
			_, file, named := strings.Cut(source, "=")
			if !named {
				file = source
			}
			paths = append(paths, file)
		}
	}
	for _, g := range k.ConfigMapGenerator {
		add(g.KvPairSources)
	}
	for _, g := range k.SecretGenerator {
		add(g.KvPairSources)
	}
	return append(paths, k.OpenAPI["path"])
}
