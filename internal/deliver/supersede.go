package deliver

import (
	"context"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"

	"github.com/sluice-dev/sluice/internal/event"
)

// supersedes decides whether a changed wish ends the roll-out that waits for an
// older one (engine rule 3). Passes do not overlap, so nothing is being written
// when it is asked; but a stage may be half written.
func (d *Delivery) supersedes(o Occasion, want wish, now time.Time) bool {
	r, old := d.run, d.run.wish
	if old.generation != want.generation || old.requested != want.requested || old.allowed != want.allowed {
		return true // somebody asked for it
	}
	if r.writing {
		return false
	}
	if r.begun() && !d.engine.Policy.Supersede {
		return false
	}
	if d.hungry.IsZero() {
		d.hungry = r.started
	}
	// Finish this one first, or no one would ever be finished.
	return !r.begun() || !d.starved(o, now)
}

// starved tells whether newer revisions have kept a Kustomization from being
// Ready for as long as its timeout.
func (d *Delivery) starved(o Occasion, now time.Time) bool {
	return !d.hungry.IsZero() && now.Sub(d.hungry) >= o.Kustomization.GetTimeout()
}

// begun tells whether the roll-out has got further than waiting for its turn.
func (r *rollout) begun() bool { return r.announced || r.applied }

// cancel says that the wait for health ends for something newer, and for what.
func (d *Delivery) cancel(ctx context.Context, o Occasion) error {
	r := d.run
	if r == nil || r.checking.IsZero() {
		return nil
	}
	by := kustomizev1.KustomizationKind + "/" + r.object.Namespace + "/" + r.object.Name
	if want := o.wish(); want.revision != r.wish.revision || want.digest != r.wish.digest {
		ref := o.Kustomization.Spec.SourceRef
		if ref.Namespace == "" {
			ref.Namespace = r.object.Namespace
		}
		by = ref.Kind + "/" + ref.Namespace + "/" + ref.Name
	}
	return r.record(ctx, event.Event{Canceled: &event.Canceled{By: by}})
}
