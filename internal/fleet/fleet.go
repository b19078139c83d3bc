package fleet

import (
	"maps"
	"path"
	"strings"
)

// File is the name of the file that holds a fleet, at the root of its
// repository.
const File = "sluice.yaml"

// Fleet is the content of sluice.yaml.
type Fleet struct {
	// Repository is where the directory of the file is published itself.
	Repository Source
	Clusters   []Cluster
	// Sources are the bundles that the clusters follow and that are made here.
	Sources []Source
	// Try is what to suggest to a newcomer.
	Try []Suggestion
}

// Suggestion is a command, with what it is good for.
type Suggestion struct{ Say, Run string }

// Cluster is an environment: what it follows and what is special to it.
type Cluster struct {
	Name string
	// Path is the directory of the repository that the cluster follows.
	Path string
	// Variables are the data of its ConfigMap cluster-vars.
	Variables map[string]string
}

// Source is a bundle: where it is published and where it is made.
type Source struct {
	// URL is oci://REGISTRY/REPOSITORY, possibly with ${NAME} in it, as in the
	// OCIRepository objects that follow it.
	URL  string
	Path string
	// Tags are those of a first publication.
	Tags []string
}

// All are the repository and the sources, in this order.
func (f Fleet) All() []Source { return append([]Source{f.Repository}, f.Sources...) }

// Names are those of the clusters, in their order.
func (f Fleet) Names() []string {
	var names []string
	for _, c := range f.Clusters {
		names = append(names, c.Name)
	}
	return names
}

// Find gives the source whose URL is the one of an object after substitution
// with the variables of a cluster.
func (f Fleet) Find(url string, variables map[string]string) (Source, bool) {
	for _, s := range f.All() {
		if Expand(s.URL, variables) == strings.TrimSuffix(url, "/") {
			return s, true
		}
	}
	return Source{}, false
}

// With is the variables of the cluster with others that win.
func (c Cluster) With(others map[string]string) map[string]string {
	merged := map[string]string{}
	maps.Copy(merged, c.Variables)
	maps.Copy(merged, others)
	return merged
}

// Expand replaces ${NAME} by its value; names without a value stay.
func Expand(text string, variables map[string]string) string {
	pairs := make([]string, 0, 2*len(variables))
	for name, value := range variables {
		pairs = append(pairs, "${"+name+"}", value)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

func clean(dir string) string { return path.Clean(strings.TrimSuffix(dir, "/")) }
