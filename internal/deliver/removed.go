package deliver

import (
	"context"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"

	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/inventory"
)

func named(own inventory.Inventory) []string {
	var names []string
	for _, e := range own.Entries() {
		names = append(names, e.ID.String())
	}
	return names
}

// end says what became of the objects. The object goes: there is no status to
// lose, and a journal that fails holds nothing up.
func (r *Removal) end(ctx context.Context, removed event.Removed) (bool, time.Time) {
	r.tell(ctx)
	_ = r.journal.Record(ctx, event.Event{At: time.Now(), Removed: &removed})
	r.done = ctx.Err() == nil
	return r.done, time.Time{}
}

// tell records what was deleted and not told yet.
func (r *Removal) tell(ctx context.Context) {
	if len(r.changed) == 0 {
		return
	}
	e := event.Event{At: time.Now(), Changed: &event.Changed{Objects: r.changed}}
	if r.journal.Record(ctx, e) == nil {
		r.changed = nil
	}
}

func (r *Removal) failed(ctx context.Context, ks *kustomizev1.Kustomization, err error) (bool, time.Time) {
	if ctx.Err() != nil {
		return false, time.Time{}
	}
	r.tries++
	retry := time.Now().Add(pause(r.tries))
	r.tell(ctx)
	_ = r.journal.Record(ctx, event.Event{At: time.Now(), Failed: &event.Failed{
		Step: event.StepRemoval, Text: "pruning for deleted resource failed: " + err.Error(), RetryAt: retry,
		Attempt: &event.Attempt{Revision: ks.Status.LastAttemptedRevision},
	}})
	return false, retry
}
