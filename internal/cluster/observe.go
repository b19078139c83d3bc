package cluster

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/internal/deliver"
	"github.com/sluice-dev/sluice/internal/object"
	"github.com/sluice-dev/sluice/internal/plan"
)

// Observe learns what is live of the wanted objects, and of those that are
// wanted no more. What is known to be as wanted costs no request; what differs
// costs a read and a dry-run. An object that could not be observed says so in
// its Live; the error is of a cluster that does not answer.
//
// Ask.Since has those kinds listed once, for all who ask, of which an object was
// last verified before it.
func (t *Target) Observe(ctx context.Context, ask deliver.Ask) (map[object.ID]plan.Live, error) {
	if ask.Quiet {
		return t.recall(ask), nil
	}
	ctx = withOwner(ctx, ask.Owner)
	o := &observation{t: t, ask: ask, found: map[object.ID]plan.Live{}}
	looks, err := o.place(ctx)
	if err != nil {
		return nil, err
	}
	o.consult(ctx, looks)
	var unsure []*look
	for _, l := range looks {
		if !o.converged(l) {
			unsure = append(unsure, l)
		}
	}
	each(len(unsure), t.c.o.ConcurrentSSA, func(i int) { o.look(ctx, unsure[i]) })
	o.tryAbsent(ctx, unsure)
	each(len(ask.Stale), t.c.o.ConcurrentSSA, func(i int) { o.stale(ctx, ask.Stale[i]) })
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if o.away != nil {
		return nil, o.away
	}
	return o.found, nil
}

// observation is one Observe.
type observation struct {
	t   *Target
	ask deliver.Ask

	mu      sync.Mutex
	found   map[object.ID]plan.Live
	away    error // the cluster does not answer
	owned   bool  // something of the Kustomization is there
	changes int   // objects that are not as wanted
}

// look is one wanted object on its way.
type look struct {
	id     object.ID
	want   *unstructured.Unstructured // as it is sent
	r      resource
	w      *kindWatch // nil: nobody may watch
	absent bool
}

func (o *observation) put(id object.ID, live plan.Live) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if live.Failed != nil && o.t.isAway(live.Failed) {
		o.away = &Unreachable{Cluster: o.t.id.cluster(), Why: why(live.Failed)}
	}
	o.found[id] = live
}

func (o *observation) note(owned bool, changes int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.owned = o.owned || owned
	o.changes += changes
}

// place finds the resources of all kinds before anything else is asked.
func (o *observation) place(ctx context.Context) ([]*look, error) {
	looks := make([]*look, 0, len(o.ask.Want))
	for _, want := range o.ask.Want {
		id := object.IDOf(want)
		r, err := o.t.find(ctx, want.GroupVersionKind(), o.ask.Owner)
		switch {
		case err != nil && (o.t.isAway(err) || ctx.Err() != nil):
			return nil, err
		case meta.IsNoMatchError(err):
			o.put(id, plan.Live{Unserved: true, Refused: err})
		case err != nil:
			o.put(id, plan.Live{Failed: o.t.failure("placing", id, err)})
		case r.namespaced && want.GetNamespace() == "":
			o.put(id, plan.Live{Refused: errNamespace})
		default:
			looks = append(looks, &look{id: id, want: scoped(r, want), r: r})
		}
	}
	return looks, nil
}

type place struct {
	resource
	namespace string
}

// consult finds the watch for each kind in each namespace, and has it verified
// where that is asked for.
func (o *observation) consult(ctx context.Context, looks []*look) {
	byPlace := map[place][]*look{}
	var places []place
	for _, l := range looks {
		p := place{l.r, l.want.GetNamespace()}
		if byPlace[p] == nil {
			places = append(places, p)
		}
		byPlace[p] = append(byPlace[p], l)
	}
	each(len(places), o.t.c.o.ConcurrentSSA, func(i int) {
		p := places[i]
		w := o.t.knowledge(ctx, p.resource, p.namespace)
		if w != nil && outdated(w, byPlace[p], o.ask.Since) && w.verified(ctx, o.ask.Since) != nil {
			w = nil
		}
		for _, l := range byPlace[p] {
			l.w = w
		}
	})
}

// outdated tells whether something that is known was last verified too long ago.
func outdated(w *kindWatch, looks []*look, since time.Time) bool {
	for _, l := range looks {
		if e, known := w.get(keyOf(l.want)); known && e.verified.Before(since) {
			return true
		}
	}
	return false
}

// converged answers from what is known, if that is enough.
func (o *observation) converged(l *look) bool {
	if l.w == nil {
		return false
	}
	e, known := l.w.get(keyOf(l.want))
	if !known || !e.record.Converged(l.want, o.ask.Rules, e.applied) {
		return false
	}
	o.put(l.id, plan.Live{Converged: true})
	o.note(true, 0)
	return true
}
