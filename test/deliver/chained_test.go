package delivertest

import (
	"context"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/labtest/artifacts"
)

// phase is something that happens to a chain.
type phase struct {
	name    string
	before  func(*chained)
	push    func(*chained)
	missing func(*chained) string
}

const (
	v1, v2, v3 = "v1@sha1:1", "v2@sha1:2", "v3@sha1:3"
)

var phases = []phase{
	{"install", func(*chained) {}, (*chained).install, func(l *chained) string { return l.notReady(v1) }},
	{"upgrade", (*chained).installed, func(l *chained) { l.publish(v2, l.chain.Files(artifacts.Second)) }, func(l *chained) string { return l.notReady(v2) }},
	{"prune", (*chained).installed, func(l *chained) { l.publish(v3, l.fewer()) }, func(l *chained) string { return l.notReady(v3) }},
	{"delete", (*chained).installed, (*chained).remove, (*chained).left},
}

// chained is a world with a chain in it.
type chained struct {
	*world
	chain artifacts.Chain
	seen  *witness
}

func newChained(t *testing.T) *chained {
	w := enter(t)
	l := &chained{world: w, chain: artifacts.Chain{Links: 5, Each: 4, Group: w.namespace + ".example.com"}}
	l.seen = w.watch(configMaps, accounts, jobs, deployments, pods)
	t.Cleanup(func() {
		crd := &unstructured.Unstructured{}
		crd.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
		crd.SetName("widgets." + l.chain.Group)
		if err := client.IgnoreNotFound(w.client.Delete(context.Background(), crd)); err != nil {
			t.Error(err)
		}
	})
	return l
}

func (l *chained) install() {
	for _, k := range l.chain.Kustomizations(l.namespace, source) {
		l.must(l.client.Create(l.Context(), k))
	}
	l.publish(v1, l.chain.Files(artifacts.First))
}

func (l *chained) installed() {
	l.install()
	l.ready(v1)
}

// fewer is the first version without its ConfigMaps.
func (l *chained) fewer() map[string]string {
	files := l.chain.Files(artifacts.First)
	for name := range files {
		if strings.Contains(name, "/configmap-") {
			delete(files, name)
		}
	}
	return files
}

func (l *chained) remove() {
	for _, k := range l.all() {
		l.must(client.IgnoreNotFound(l.client.Delete(l.Context(), &k)))
	}
}

// left lists what goes, but has not gone yet. A definition takes its time.
func (l *chained) left() string {
	var names []string
	for _, o := range l.labelled(l.chain.Group) {
		if o.GetDeletionTimestamp() != nil {
			names = append(names, o.GetName()+" is about to go")
		}
	}
	for _, k := range l.all() {
		names = append(names, k.Name+" is still there: "+describe(&k))
	}
	return strings.Join(names, "\n")
}

// settled gives the state when a phase is over and a requested run has found
// nothing left to do; and complains about what was done twice.
func (l *chained) settled(p phase) state {
	l.Helper()
	l.until(func() string { return p.missing(l) })
	l.requested()
	if twice := l.seen.reborn(); len(twice) > 0 {
		l.Errorf("done twice: %s", strings.Join(twice, ", "))
	}
	if runs, jobs := l.seen.lives("Pod/link-2-v"), l.seen.lives("Job/"); runs != jobs {
		l.Errorf("%d Jobs ran %d times", jobs, runs)
	}
	return l.state(l.chain.Group)
}
