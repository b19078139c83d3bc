package build

import (
	"bytes"
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
	// schema: a kustomization file that takes part brings an OpenAPI schema.
	schema bool
}

// dir checks a directory and all that it builds on. The objects of plugins are
// configurations of generators and transformers.
func (c *completeness) dir(dir string, plugins bool) error {
	key := fmt.Sprint(dir, plugins)
	if c.seen[key] {
		return nil // kustomize knows best what to say about a cycle
	}
	c.seen[key] = true
	file, err := KustomizationFile(c.fsys, dir)
	if err != nil {
		return nil
	}
	raw, err := fs.ReadFile(c.fsys, file)
	if err != nil {
		return err
	}
	return c.file(file, raw, plugins)
}

// file checks the text of a kustomization file.
func (c *completeness) file(name string, raw []byte, plugins bool) error {
	var k types.Kustomization
	if yaml.Unmarshal(raw, &k) != nil {
		c.schema = c.schema || bytes.Contains(raw, []byte("openapi"))
		return nil // kustomize says what is wrong with it
	}
	c.schema = c.schema || len(k.OpenAPI) > 0
	if len(k.HelmCharts) > 0 || k.HelmGlobals != nil || len(k.HelmChartInflationGenerator) > 0 {
		return fmt.Errorf("%s: helm charts are not rendered here, nor by Flux: put the rendered objects into the bundle", name)
	}
	//lint:ignore SA1019 bundles in the wild still use the old field, and kustomize reads it
	bases := k.Bases
	for _, list := range []struct {
		field   string
		entries []string
		plugins bool
	}{
		{"resources", k.Resources, plugins}, {"bases", bases, plugins}, {"components", k.Components, plugins},
		{"generators", k.Generators, true}, {"transformers", k.Transformers, true}, {"validators", k.Validators, true},
	} {
		for _, entry := range list.entries {
			if err := c.entry(name, list.field, entry, list.plugins); err != nil {
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

func (c *completeness) entry(file, field, entry string, plugins bool) error {
	if strings.Contains(entry, "\n") { // an object in place of its path
		if plugins {
			return c.plugin(file, []byte(entry))
		}
		return nil
	}
	at := path.Join(path.Dir(file), entry)
	info, err := fs.Stat(c.fsys, at)
	switch {
	case err != nil || isURL(entry) || info.IsDir() && remote(entry):
		return missing(file, field, entry)
	case info.IsDir():
		return c.dir(at, plugins)
	case plugins:
		raw, err := fs.ReadFile(c.fsys, at)
		if err != nil {
			return err
		}
		return c.plugin(at, raw)
	}
	return nil
}

func missing(file, field, entry string) error {
	err := fmt.Errorf("%s: %s: %q is not in the bundle", file, field, entry)
	if host, _, _ := strings.Cut(entry, "/"); remote(entry) || strings.Contains(entry, "?ref=") || strings.Contains(strings.Trim(host, "."), ".") && host != entry {
		err = fmt.Errorf("%w, and nothing is fetched from elsewhere: put a copy into the bundle", err)
	}
	return err
}
