package cluster

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// watchKey names a watch: what it sees depends on whose rights it has.
type watchKey struct {
	schema.GroupVersionResource
	namespace string // empty for all
	as        string // empty for the controller
}

// refusedFor is how long a refusal to watch is believed.
const refusedFor = 10 * time.Minute

func believed(why error) time.Duration {
	if apierrors.IsNotFound(why) {
		return missPause // the kind may be back
	}
	return refusedFor
}

// watch gives the watch of a kind, and starts it if nobody has yet.
func (c *cluster) watch(s *session, r resource, namespace string) *kindWatch {
	key := watchKey{r.GroupVersionResource, namespace, s.as}
	c.mu.Lock()
	defer c.mu.Unlock()
	if w := c.watches[key]; w != nil {
		if at, err := w.ended(); err == nil || time.Since(at) < believed(err) {
			return w
		}
	}
	w := newKindWatch(c, s, r, namespace)
	c.watches[key] = w
	if c.ctx.Err() == nil {
		c.wg.Go(func() { w.feed.run(c.ctx) })
	}
	return w
}

// running gives the watches of a kind that there are, without starting any.
func (c *cluster) running(r resource) []*kindWatch {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []*kindWatch
	for key, w := range c.watches {
		if key.GroupVersionResource == r.GroupVersionResource {
			list = append(list, w)
		}
	}
	return list
}

// knowledge gives the watch that this identity may learn from, in a namespace
// (empty for kinds without): the controller's own over the whole cluster; or if
// the controller may not, one with the identity's own rights; or nil. (engine
// rule 16)
func (t *Target) knowledge(ctx context.Context, r resource, namespace string) *kindWatch {
	if t.c.o.NoWatches {
		return nil
	}
	everybody, err := t.c.session("")
	if err != nil {
		return nil
	}
	w := t.c.watch(everybody, r, "")
	if w.ready(ctx) {
		if t.id.ServiceAccount == "" || t.c.access.mayRead(ctx, t.s, r, namespace) {
			return w
		}
		t.blind(r, namespace)
		return nil
	}
	if _, ended := w.ended(); !apierrors.IsForbidden(ended) {
		return nil // not now
	}
	if namespace != "" || t.id.ServiceAccount != "" {
		if w = t.c.watch(t.s, r, namespace); w.ready(ctx) {
			return w
		}
		if _, ended := w.ended(); !apierrors.IsForbidden(ended) {
			return nil
		}
	}
	t.blind(r, namespace)
	return nil
}

// known is knowledge without asking anybody.
func (t *Target) known(r resource, namespace string) *kindWatch {
	for _, w := range t.c.running(r) {
		own := w.feed.namespace == namespace && w.feed.session.as == t.id.ServiceAccount
		shared := w.feed.namespace == "" && w.feed.session.as == "" &&
			(t.id.ServiceAccount == "" || t.c.access.knownToRead(t.s, r, namespace))
		if (own || shared) && w.synced() {
			return w
		}
	}
	return nil
}
