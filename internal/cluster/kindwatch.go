package cluster

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
)

// ownerLabel is on every object that a Kustomization applied.
var ownerLabel = kustomizev1.GroupVersion.Group + "/name"

// kindWatch follows the labelled objects of one kind, in all namespaces or in
// one, with the rights of one identity. It is the sink of its feed.
type kindWatch struct {
	*index
	c    *cluster
	feed *feed

	first chan struct{} // closed when the first list is in, or will never be

	mu       sync.Mutex
	listed   time.Time // when the latest complete list was asked for
	over     error     // why the feed ended
	overAt   time.Time
	trouble  error // why the first list is not in yet
	troubled chan struct{}
	running  *verification
}

func newKindWatch(c *cluster, s *session, r resource, namespace string) *kindWatch {
	w := &kindWatch{c: c, first: make(chan struct{}), troubled: make(chan struct{})}
	w.index = newIndex(c.o.OverrideManagers, c.changed, w.reread)
	w.feed = &feed{session: s, outage: c.outage, resource: r, namespace: namespace, labels: ownerLabel, sink: w}
	return w
}

// ready waits for the first list. It is false if there will be none, or none
// soon: then the server has to be asked for each object.
func (w *kindWatch) ready(ctx context.Context) bool {
	select {
	case <-w.first:
	case <-w.troubled:
	case <-ctx.Done():
	case <-w.c.ctx.Done():
	}
	return w.synced()
}

// synced is ready without waiting. Of a cluster that was closed nothing is known
// any more.
func (w *kindWatch) synced() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.over == nil && !w.listed.IsZero() && w.c.ctx.Err() == nil
}

func (w *kindWatch) ended() (at time.Time, why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.overAt, w.over
}

// begin, page and end take a list.
func (w *kindWatch) begin(now time.Time) pages {
	return &recordList{w: w, began: now, records: map[types.NamespacedName]sighting{}}
}

type recordList struct {
	w       *kindWatch
	began   time.Time
	records map[types.NamespacedName]sighting
}

func (l *recordList) page(objects []unstructured.Unstructured) {
	for i := range objects {
		l.records[keyOf(&objects[i])] = l.w.sight(&objects[i])
	}
}

func (l *recordList) end(version string) {
	w := l.w
	w.mu.Lock()
	initial := w.listed.IsZero()
	w.mu.Unlock()
	if initial {
		w.fill(l.records, l.began)
	} else {
		w.replace(l.records, version, l.began)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listed.IsZero() {
		close(w.first)
	}
	w.listed = later(w.listed, l.began)
}

func (w *kindWatch) event(kind watch.EventType, object *unstructured.Unstructured) {
	if kind == watch.Deleted {
		w.gone(keyOf(object), object.GetResourceVersion())
		return
	}
	w.seen(keyOf(object), w.sight(object), time.Time{})
}

func (w *kindWatch) failed(err error, final bool) {
	w.mu.Lock()
	if w.trouble == nil {
		w.trouble = err
		close(w.troubled)
	}
	if final {
		w.over, w.overAt = err, time.Now()
	}
	w.mu.Unlock()
	if final && apierrors.IsNotFound(err) {
		// The kind is gone, and its objects with it.
		w.c.served.forget(w.feed.resource.Group)
		w.tell(w.owners())
	}
}

// reread asks the server for an object that a watch and our own write disagree
// about.
func (w *kindWatch) reread(key types.NamespacedName) {
	known, _ := w.get(key)
	w.c.spawn(func() {
		live, err := w.feed.session.get(w.c.ctx, w.feed.resource, key)
		switch {
		case apierrors.IsNotFound(err), err == nil && live.GetLabels()[ownerLabel] == "":
			w.missing(key, known.record.ResourceVersion)
		case err == nil:
			w.seen(key, w.sight(live), time.Now())
		}
	})
}

func keyOf(object *unstructured.Unstructured) types.NamespacedName {
	return types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}
}
