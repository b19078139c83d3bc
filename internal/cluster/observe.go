package cluster

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
	return o.found, o.away
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
			o.put(id, plan.Live{Failed: err})
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

// look asks for an object, and what applying would make of it.
func (o *observation) look(ctx context.Context, l *look) {
	t := o.t
	t.wish(l.id, plan.DesiredDigest(l.want, o.ask.Rules))
	known := entry{}
	if l.w != nil {
		known, _ = l.w.get(keyOf(l.want))
	}
	live, err := t.s.get(ctx, l.r, keyOf(l.want))
	switch {
	case apierrors.IsNotFound(err):
		if l.w != nil {
			l.w.missing(keyOf(l.want), known.record.ResourceVersion)
		}
		l.absent = true
		o.put(l.id, plan.Live{})
		o.note(false, 1)
		return
	case err != nil:
		o.put(l.id, plan.Live{Failed: t.failure("reading", l.id, err)})
		return
	}
	o.note(plan.OwnerOf(live) == o.ask.Owner, 0)
	if l.w != nil && live.GetLabels()[ownerLabel] != "" {
		l.w.seen(keyOf(live), l.w.sight(live), time.Now())
	}
	if plan.Left(l.want, live) != "" || live.GetDeletionTimestamp() != nil {
		o.put(l.id, plan.Live{Object: live})
		return
	}
	o.try(ctx, l, live)
}

// try sees what applying would make of an object that is there.
func (o *observation) try(ctx context.Context, l *look, live *unstructured.Unstructured) {
	merged, err := o.t.s.apply(ctx, l.r, l.want, true)
	answer := plan.Live{Object: live, Merged: merged}
	switch {
	case err == nil:
	case passing(err):
		answer = plan.Live{Failed: o.t.failure("trying to apply", l.id, err)}
	default:
		answer = plan.Live{Object: live, Refused: err}
		answer.Replaceable = immutable(err) && apierrors.IsAlreadyExists(o.t.s.tryCreate(ctx, l.r, l.want))
	}
	if err == nil && o.keeps(l, answer) {
		if l.w != nil {
			l.w.settle(keyOf(live), string(live.GetUID()), plan.Applied{
				Desired: o.t.wished(l.id), Owned: plan.RecordOf(live, o.t.c.o.OverrideManagers).OwnedDigest,
			})
		}
	} else {
		o.note(false, 1)
	}
	o.put(l.id, answer)
}

// keeps tells whether planning with an answer leaves the object as it is: then
// it need not be asked for again.
func (o *observation) keeps(l *look, answer plan.Live) bool {
	p := plan.Compute(plan.Input{
		Owner: o.ask.Owner, Want: []*unstructured.Unstructured{l.want}, Rules: o.ask.Rules,
		Live: map[object.ID]plan.Live{object.IDOf(l.want): answer},
	})
	for _, stage := range p.Stages {
		for _, step := range stage.Steps {
			return step.Action == plan.Keep
		}
	}
	return false
}

// tryAbsent tries the objects that are not there, if others of the Kustomization
// are, and if more than one would change: a mistake that can be seen must not
// leave a roll-out half done. What is missing around an object, as its
// namespace, may be created before it.
func (o *observation) tryAbsent(ctx context.Context, looks []*look) {
	if !o.owned || o.changes < 2 {
		return
	}
	var absent []*look
	for _, l := range looks {
		if l.absent && plan.Left(l.want, nil) == "" {
			absent = append(absent, l)
		}
	}
	each(len(absent), o.t.c.o.ConcurrentSSA, func(i int) {
		l := absent[i]
		_, err := o.t.s.apply(ctx, l.r, l.want, true)
		switch {
		case err == nil, apierrors.IsNotFound(err):
		case passing(err):
			o.put(l.id, plan.Live{Failed: o.t.failure("trying to apply", l.id, err)})
		default:
			o.put(l.id, plan.Live{Refused: err})
		}
	})
}

// stale asks for an object that is wanted no more. Where nobody serves its kind
// any more, it is gone.
func (o *observation) stale(ctx context.Context, check deliver.Check) {
	r, err := o.t.findAny(ctx, check, plan.Owner{})
	switch {
	case meta.IsNoMatchError(err):
		o.put(check.ID, plan.Live{})
		return
	case err != nil:
		o.put(check.ID, plan.Live{Failed: o.t.failure("finding", check.ID, err)})
		return
	}
	live, err := o.t.s.get(ctx, r, nameOf(check.ID))
	switch {
	case apierrors.IsNotFound(err):
		o.put(check.ID, plan.Live{})
	case err != nil:
		o.put(check.ID, plan.Live{Failed: o.t.failure("reading", check.ID, err)})
	default:
		o.put(check.ID, plan.Live{Object: live})
	}
}
