package artifacts

import (
	"fmt"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/internal/object"
)

// Chain is a row of Kustomizations, each of which depends on the one before it,
// and all of which read one source. Among its objects are a definition with a
// custom resource, a Deployment and a Job.
type Chain struct {
	Links int // Kustomizations
	Each  int // objects of each in the first version, at least 3
	// Group of the custom resource. Definitions belong to the whole cluster: each
	// test needs a group of its own.
	Group string
}

// Version of a chain. The second one, compared to the first, changes an object
// of every link, removes the last object of every second link, puts another Job
// in the place of the old one, and adds an object to the last link.
type Version int

// The versions.
const (
	First  Version = 1
	Second Version = 2
)

// Name of a link, from 0: of its Kustomization and of its directory.
func (c Chain) Name(link int) string { return fmt.Sprintf("link-%d", link) }

// Bundles gives the files of each link, by its name.
func (c Chain) Bundles(v Version) map[string]map[string]string {
	bundles := map[string]map[string]string{}
	for link := range c.Links {
		files := map[string]string{}
		for _, m := range c.members(link, v) {
			files[m.file] = m.text
		}
		bundles[c.Name(link)] = files
	}
	return bundles
}

// Files gives all links as one tree, in which each has a directory.
func (c Chain) Files(v Version) map[string]string {
	tree := map[string]string{}
	for name, files := range c.Bundles(v) {
		for file, text := range files {
			tree[name+"/"+file] = text
		}
	}
	return tree
}

// Objects lists what exists when a link is rolled out to a namespace.
func (c Chain) Objects(link int, v Version, namespace string) []object.ID {
	var ids []object.ID
	for _, m := range c.members(link, v) {
		if m.id.Kind != "CustomResourceDefinition" {
			m.id.Namespace = namespace
		}
		ids = append(ids, m.id)
	}
	return object.Sorted(ids)
}

// Kustomizations roll a chain out from a GitRepository, to the namespace that
// is the source's and theirs. They prune and wait.
func (c Chain) Kustomizations(namespace, source string) []*kustomizev1.Kustomization {
	var all []*kustomizev1.Kustomization
	for link := range c.Links {
		k := &kustomizev1.Kustomization{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: c.Name(link)},
			Spec: kustomizev1.KustomizationSpec{
				Interval: metav1.Duration{Duration: time.Hour}, RetryInterval: &metav1.Duration{Duration: time.Second},
				Timeout: &metav1.Duration{Duration: time.Minute},
				Path:    "./" + c.Name(link), TargetNamespace: namespace, Prune: true, Wait: true,
				SourceRef: kustomizev1.CrossNamespaceSourceReference{Kind: "GitRepository", Name: source},
			},
		}
		if link > 0 {
			k.Spec.DependsOn = []kustomizev1.DependencyReference{{Name: c.Name(link - 1)}}
		}
		all = append(all, k)
	}
	return all
}
