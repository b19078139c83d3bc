package cluster

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/sluice-dev/sluice/internal/plan"
)

// arrivals wakes those who wait for a kind that nobody served. It watches the
// cluster's definitions from the first such miss on, and is the sink of that
// feed.
type arrivals struct {
	c *cluster

	mu          sync.Mutex
	begun       bool
	waiting     map[schema.GroupVersionKind]map[plan.Owner]struct{}
	established map[schema.GroupVersionKind]struct{}
	probing     map[schema.GroupVersionKind]bool
}

var definitions = resource{
	GroupVersionResource: schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"},
	kind:                 definitionKind.Kind,
}

var definitionKind = groupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}

// A definition is established a moment before its kind is served.
const (
	servedPause = 200 * time.Millisecond
	servedTries = 50
)

func newArrivals(c *cluster) *arrivals {
	return &arrivals{
		c: c, waiting: map[schema.GroupVersionKind]map[plan.Owner]struct{}{},
		established: map[schema.GroupVersionKind]struct{}{}, probing: map[schema.GroupVersionKind]bool{},
	}
}

// await has an owner woken when a kind is served.
func (a *arrivals) await(kind schema.GroupVersionKind, owner plan.Owner) {
	if owner.Name == "" || a.c.o.NoWatches {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waiting[kind] == nil {
		a.waiting[kind] = map[plan.Owner]struct{}{}
	}
	a.waiting[kind][owner] = struct{}{}
	if !a.begun {
		s, err := a.c.session("")
		if err != nil {
			return
		}
		a.begun = true
		f := &feed{session: s, outage: a.c.outage, resource: definitions, sink: a}
		a.c.spawn(func() { f.run(a.c.ctx) })
	}
	a.probe(kind)
}

// probe looks for a kind that is said to be established; the lock is held.
func (a *arrivals) probe(kind schema.GroupVersionKind) {
	if _, ready := a.established[kind]; !ready || len(a.waiting[kind]) == 0 || a.probing[kind] {
		return
	}
	a.probing[kind] = true
	a.c.spawn(func() { a.look(kind) })
}

// look asks until the kind is served, then wakes all who waited for it. After
// ten seconds they have to come back by themselves.
func (a *arrivals) look(kind schema.GroupVersionKind) {
	for range servedTries {
		a.c.served.forget(kind.Group)
		if _, err := a.c.served.find(a.c.ctx, kind); err == nil {
			break
		}
		if !sleep(a.c.ctx, servedPause) {
			return
		}
	}
	a.mu.Lock()
	owners := a.waiting[kind]
	delete(a.waiting, kind)
	a.probing[kind] = false
	a.mu.Unlock()
	for owner := range owners {
		a.c.changed(owner)
	}
}

// note reads which kinds a definition has served.
func (a *arrivals) note(object *unstructured.Unstructured, gone bool) {
	kinds, established := defined(object)
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, kind := range kinds {
		if gone || !established {
			delete(a.established, kind)
			continue
		}
		a.established[kind] = struct{}{}
		a.probe(kind)
	}
}

// defined lists the kinds of a definition, in all versions that are served, and
// tells whether it is established.
func defined(object *unstructured.Unstructured) (kinds []schema.GroupVersionKind, established bool) {
	group, _, _ := unstructured.NestedString(object.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(object.Object, "spec", "names", "kind")
	versions, _, _ := unstructured.NestedSlice(object.Object, "spec", "versions")
	for _, v := range versions {
		if v, ok := v.(map[string]any); ok && v["served"] == true {
			name, _ := v["name"].(string)
			kinds = append(kinds, schema.GroupVersionKind{Group: group, Version: name, Kind: kind})
		}
	}
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == "Established" && c["status"] == "True" {
			established = true
		}
	}
	return kinds, established
}

func (a *arrivals) begin(time.Time) pages { return a }

func (a *arrivals) page(objects []unstructured.Unstructured) {
	for i := range objects {
		a.note(&objects[i], false)
	}
}

func (a *arrivals) end(string) {}

func (a *arrivals) event(kind watch.EventType, object *unstructured.Unstructured) {
	a.note(object, kind == watch.Deleted)
	if group, _, _ := unstructured.NestedString(object.Object, "spec", "group"); kind == watch.Deleted {
		a.c.served.forget(group)
	}
}

// failed: without a right to see definitions, those who wait look themselves.
func (a *arrivals) failed(_ error, final bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if final {
		a.begun = false
	}
}
