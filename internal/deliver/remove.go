package deliver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"

	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/health"
	"github.com/sluice-dev/sluice/internal/inventory"
	"github.com/sluice-dev/sluice/internal/plan"
)

// Removal is the end of a deleted Kustomization.
type Removal struct {
	engine  *Engine
	journal Journal
	begun   time.Time
	going   []Check        // asked to go, and awaited
	changed []event.Change // not told yet
	asked   bool
	done    bool
	tries   int
}

// NewRemoval begins the removal of what a Kustomization owns.
func NewRemoval(engine *Engine, journal Journal) *Removal {
	return &Removal{engine: engine, journal: journal}
}

// Advance does all that can be done now. It is done when the finalizer may go.
func (r *Removal) Advance(ctx context.Context, ks *kustomizev1.Kustomization) (done bool, again time.Time) {
	if r.begun.IsZero() {
		r.begun = time.Now()
	}
	if r.done {
		return true, time.Time{}
	}
	r.journal.Begin(ks)
	own, err := inventory.Read(ks.Status.Inventory)
	if err != nil {
		return r.failed(ctx, ks, fmt.Errorf("reading status.inventory: %w", err))
	}
	if !deletes(ks) || own.Len() == 0 {
		return r.end(ctx, event.Removed{})
	}
	target, err := r.engine.Targets.Target(ctx, ks)
	if gone, why := isGone(err); gone {
		// Whoever removed the identity took the way to the objects with it: as in
		// Flux, they stay, and that is said.
		return r.end(ctx, event.Removed{Left: named(own), Why: "unable to prune objects, " + why})
	}
	if err != nil {
		return r.failed(ctx, ks, fmt.Errorf("failed to build kube client: %w", err))
	}
	if !r.asked {
		if err := r.delete(ctx, ks, target, own); err != nil {
			return r.failed(ctx, ks, err)
		}
		r.asked = true
	}
	if ks.GetDeletionPolicy() != kustomizev1.DeletionPolicyWaitForTermination || len(r.going) == 0 {
		return r.end(ctx, event.Removed{})
	}
	return r.await(ctx, ks, target)
}

// deletes tells whether the objects go with the Kustomization
// (kustomization_controller.go finalizerShouldDeleteResources).
func deletes(ks *kustomizev1.Kustomization) bool {
	if ks.Spec.Suspend {
		return false
	}
	switch ks.GetDeletionPolicy() {
	case kustomizev1.DeletionPolicyMirrorPrune:
		return ks.Spec.Prune
	case kustomizev1.DeletionPolicyDelete, kustomizev1.DeletionPolicyWaitForTermination:
		return true
	}
	return false
}

// delete asks all that is owned to go. What is going already is awaited too:
// an earlier process may have asked it.
func (r *Removal) delete(ctx context.Context, ks *kustomizev1.Kustomization, target Target, own inventory.Inventory) error {
	owner := plan.Owner{Namespace: ks.Namespace, Name: ks.Name}
	in := plan.Input{Owner: owner, Own: own, Rules: plan.Rules{Prune: true, StageKinds: r.engine.Policy.Apply.StageKinds}}
	var err error
	if in.Live, err = target.Observe(ctx, Ask{Owner: owner, Stale: checksOf(own), Rules: in.Rules}); err != nil {
		return err
	}
	if in.Claimed, err = r.engine.Claims.Claimed(ctx, ks, own.IDs()); err != nil {
		return err
	}
	p := plan.Compute(in)
	d := deleteAll(ctx, target, p.Prune)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.changed = append(r.changed, d.changed...)
	r.going = nil
	for _, s := range p.Prune {
		live := in.Live[s.ID].Object
		if s.Action == plan.Delete || live != nil && live.GetDeletionTimestamp() != nil && plan.OwnerOf(live) == owner {
			r.going = append(r.going, Check{ID: s.ID, Version: s.Version})
		}
	}
	if len(d.failed) > 0 {
		return errors.New(joinLines(d.failed))
	}
	return nil
}

// await waits for the objects to be gone; their watches wake it. After the
// timeout what is left is named, with what holds it.
func (r *Removal) await(ctx context.Context, ks *kustomizev1.Kustomization, target Target) (bool, time.Time) {
	verdicts, err := target.Judge(ctx, plan.Owner{Namespace: ks.Namespace, Name: ks.Name}, r.going, nil)
	if err != nil && ctx.Err() != nil {
		return false, time.Time{}
	}
	deadline := r.begun.Add(ks.GetTimeout())
	late := !time.Now().Before(deadline)
	if err != nil && !late {
		r.tries++
		return false, soonest(deadline, time.Now().Add(pause(r.tries)))
	}
	var left []string
	for _, id := range sortedIDs(verdicts) {
		if v := verdicts[id]; v.Status != health.NotFound {
			left = append(left, strings.TrimSpace(id.String()+" "+v.Message))
		}
	}
	switch {
	case err != nil:
		return r.end(ctx, event.Removed{Left: []string{err.Error()}, Why: "failed to wait for resources termination"})
	case len(left) == 0:
		return r.end(ctx, event.Removed{})
	case late:
		return r.end(ctx, event.Removed{Left: left, Why: "failed to wait for resources termination"})
	}
	return false, soonest(deadline, time.Now().Add(watchful))
}
