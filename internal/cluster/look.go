package cluster

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/internal/deliver"
	"github.com/sluice-dev/sluice/internal/object"
	"github.com/sluice-dev/sluice/internal/plan"
)

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
