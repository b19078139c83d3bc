package deliver

import (
	"context"
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
	deleted []Check // asked to go, and awaited
	asked   bool
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
		r.journal.Begin(ks)
	}
	own, err := inventory.Read(ks.Status.Inventory)
	if err != nil {
		return r.failed(ctx, ks, fmt.Sprintf("reading status.inventory: %v", err))
	}
	if !deletes(ks) || own.Len() == 0 {
		return true, time.Time{}
	}
	target, err := r.engine.Targets.Target(ctx, ks)
	if gone, why := isGone(err); gone {
		// Whoever removed the identity took the way to the objects with it: as in
		// Flux, they stay, and that is said.
		return r.leave(ctx, own, why)
	}
	if err != nil {
		return r.failed(ctx, ks, fmt.Sprintf("failed to build kube client: %v", err))
	}
	if !r.asked {
		if failure := r.delete(ctx, ks, target, own); failure != "" {
			return r.failed(ctx, ks, failure)
		}
		r.asked = true
	}
	if ks.GetDeletionPolicy() != kustomizev1.DeletionPolicyWaitForTermination || len(r.deleted) == 0 {
		return true, time.Time{}
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

func (r *Removal) delete(ctx context.Context, ks *kustomizev1.Kustomization, target Target, own inventory.Inventory) string {
	owner := plan.Owner{Namespace: ks.Namespace, Name: ks.Name}
	rules := plan.Rules{Prune: true, StageKinds: r.engine.Policy.Apply.StageKinds}
	live, err := target.Observe(ctx, Ask{Owner: owner, Stale: checksOf(own), Rules: rules})
	if err != nil {
		return err.Error()
	}
	in := plan.Input{Owner: owner, Own: own, Live: live, Rules: rules}
	claimed, err := r.engine.Claims.Claimed(ctx, ks, own.IDs())
	if err != nil {
		return err.Error()
	}
	in.Claimed = claimed
	p := plan.Compute(in)
	for _, s := range p.Prune {
		if s.Action == plan.Refuse {
			return s.Why
		}
	}
	changes, _, failures := deleteAll(ctx, target, p.Prune)
	if len(changes) > 0 {
		e := event.Event{At: time.Now(), Changed: &event.Changed{Objects: changes}}
		if err := r.journal.Record(ctx, e); err != nil {
			return err.Error()
		}
	}
	for _, s := range p.Prune {
		if s.Action == plan.Delete {
			r.deleted = append(r.deleted, Check{ID: s.ID, Version: s.Version})
		}
	}
	return joinLines(failures)
}

// await waits for the objects to be gone; their watches wake it. After the
// timeout what is left is named, with what holds it.
func (r *Removal) await(ctx context.Context, ks *kustomizev1.Kustomization, target Target) (bool, time.Time) {
	verdicts, err := target.Judge(ctx, plan.Owner{Namespace: ks.Namespace, Name: ks.Name}, r.deleted, nil)
	if err != nil {
		return false, time.Now().Add(pause(1))
	}
	var left []string
	for _, id := range sortedIDs(verdicts) {
		if v := verdicts[id]; v.Status != health.NotFound {
			left = append(left, strings.TrimSpace(id.String()+" "+v.Message))
		}
	}
	deadline := r.begun.Add(ks.GetTimeout())
	switch {
	case len(left) == 0:
		r.tell(ctx, event.Removed{})
		return true, time.Time{}
	case !time.Now().Before(deadline):
		r.tell(ctx, event.Removed{Left: left, Why: "failed to wait for resources termination"})
		return true, time.Time{}
	}
	return false, deadline
}

func (r *Removal) leave(ctx context.Context, own inventory.Inventory, why string) (bool, time.Time) {
	var left []string
	for _, e := range own.Entries() {
		left = append(left, e.ID.String())
	}
	r.tell(ctx, event.Removed{Left: left, Why: "unable to prune objects, " + why})
	return true, time.Time{}
}

func (r *Removal) tell(ctx context.Context, removed event.Removed) {
	_ = r.journal.Record(ctx, event.Event{At: time.Now(), Removed: &removed}) // the object goes: there is no status to lose
}

func (r *Removal) failed(ctx context.Context, ks *kustomizev1.Kustomization, text string) (bool, time.Time) {
	r.tries++
	retry := time.Now().Add(pause(r.tries))
	if ctx.Err() == nil {
		_ = r.journal.Record(ctx, event.Event{At: time.Now(), Failed: &event.Failed{
			Step: event.StepRemoval, Text: "pruning for deleted resource failed: " + text, RetryAt: retry,
			Attempt: &event.Attempt{Revision: ks.Status.LastAttemptedRevision},
		}})
	}
	return false, retry
}
