package cluster

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/sluice-dev/sluice/internal/health"
	"github.com/sluice-dev/sluice/internal/object"
	"github.com/sluice-dev/sluice/internal/plan"
)

// lookout watches one object by its name, with the rights of one identity, for
// those whose verdict cannot come out of an index, because the object has no
// label of theirs. It is the sink of its feed.
type lookout struct {
	c    *cluster
	id   object.ID
	feed *feed
	stop context.CancelFunc
	born time.Time

	first chan struct{} // closed when the object was looked at, or cannot be

	mu      sync.Mutex
	started bool // first is closed
	over    error
	version string
	askers  map[plan.Owner]*asker
}

type lookoutKey struct {
	watchKey
	name string
}

// asker is a Kustomization that wants to know, and what it was told.
type asker struct {
	rules   *health.Rules
	verdict health.Verdict
	at      time.Time
}

// askedFor is how long a lookout is kept for an owner that does not ask again.
const askedFor = 30 * time.Minute

// lookout gives the watch of an object, with the owner among its askers.
func (t *Target) lookout(r resource, id object.ID, owner plan.Owner, rules *health.Rules) *lookout {
	key := lookoutKey{watchKey{r.GroupVersionResource, id.Namespace, t.id.ServiceAccount}, id.Name}
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	l := t.c.lookouts[key]
	if l == nil || l.ended() && time.Since(l.born) > refusedFor {
		ctx, stop := context.WithCancel(t.c.ctx)
		l = &lookout{c: t.c, id: id, stop: stop, born: time.Now(), first: make(chan struct{}), askers: map[plan.Owner]*asker{}}
		l.feed = &feed{session: t.s, outage: t.c.outage, resource: r, namespace: id.Namespace, fields: "metadata.name=" + id.Name, sink: l}
		t.c.lookouts[key] = l
		if t.c.ctx.Err() == nil {
			t.c.wg.Go(func() { l.feed.run(ctx) })
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.askers[owner]
	if a == nil {
		a = &asker{rules: rules}
		l.askers[owner] = a
	}
	a.at = time.Now()
	return l
}

// verdict gives what the watch knows; it is false if the object has to be asked
// for: nothing is known yet, or only something older than a version, or nothing
// of these rules.
func (l *lookout) verdict(ctx context.Context, owner plan.Owner, rules *health.Rules, since string) (health.Verdict, bool) {
	select {
	case <-l.first:
	case <-ctx.Done():
	case <-l.c.ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.askers[owner]
	if l.over != nil || l.c.ctx.Err() != nil || l.version == "" || a == nil || a.rules != rules || a.verdict.Status == "" || compare(l.version, since) < 0 {
		return health.Verdict{}, false
	}
	return a.verdict, true
}

// told remembers what an owner has learned by asking.
func (l *lookout) told(owner plan.Owner, rules *health.Rules, verdict health.Verdict) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.askers[owner]; a != nil {
		a.rules, a.verdict = rules, verdict
	}
}

// now takes the state of the object, nil if it is not there, and wakes those for
// whom it makes a difference.
func (l *lookout) now(live *unstructured.Unstructured, version string) {
	var wake []plan.Owner
	l.mu.Lock()
	if compare(version, l.version) < 0 {
		l.mu.Unlock()
		return
	}
	l.version = version
	for owner, a := range l.askers {
		verdict := health.Missing(l.id, false)
		if live != nil {
			verdict = health.Judge(live, a.rules)
		}
		if a.verdict != verdict && a.verdict.Status != "" {
			wake = append(wake, owner)
		}
		a.verdict = verdict
	}
	l.begun()
	l.mu.Unlock()
	for _, owner := range wake {
		l.c.changed(owner)
	}
}

func (l *lookout) begun() {
	if !l.started {
		l.started = true
		close(l.first)
	}
}

func (l *lookout) begin(time.Time) pages { return &single{l: l} }

// single is the list of one object.
type single struct {
	l    *lookout
	live *unstructured.Unstructured
}

func (s *single) page(objects []unstructured.Unstructured) {
	for i := range objects {
		s.live = &objects[i]
	}
}

func (s *single) end(version string) { s.l.now(s.live, version) }

func (l *lookout) event(kind watch.EventType, live *unstructured.Unstructured) {
	version := live.GetResourceVersion()
	if kind == watch.Deleted {
		live = nil
	}
	l.now(live, version)
}

func (l *lookout) failed(err error, final bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if final {
		l.over = err
	}
	l.begun()
}

func (l *lookout) ended() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over != nil
}

// unused drops the askers that did not come back; true if none are left.
func (l *lookout) unused(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for owner, a := range l.askers {
		if now.Sub(a.at) > askedFor {
			delete(l.askers, owner)
		}
	}
	return len(l.askers) == 0
}

// sweep ends what nobody asks for any more.
func (c *cluster) sweep(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, l := range c.lookouts {
		if l.unused(now) {
			l.stop()
			delete(c.lookouts, key)
		}
	}
	for _, w := range c.watches {
		w.sweep(now)
	}
}

func nameOf(id object.ID) types.NamespacedName {
	return types.NamespacedName{Namespace: id.Namespace, Name: id.Name}
}
