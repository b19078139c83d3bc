package deliver

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/inventory"
	"github.com/sluice-dev/sluice/internal/plan"
)

// prune deletes what is owned and wanted no more, in reverse apply order. What
// cannot be deleted stays in the inventory.
func (r *rollout) prune(ctx context.Context) turn {
	changes, survivors, failures := deleteAll(ctx, r.target, r.plan.Prune)
	if ctx.Err() != nil {
		return turn{err: ctx.Err()}
	}
	if len(changes) > 0 {
		if err := r.record(ctx, event.Event{Changed: &event.Changed{Objects: changes}}); err != nil {
			return turn{err: err}
		}
	}
	if len(failures) == 0 {
		return onward
	}
	t := failing(event.StepPrune, joinLines(failures))
	t.failed.Inventory = items(r.plan.Inventory().Union(survivors))
	return t
}

// deleteAll does the deletions of a plan one after the other: their order is
// part of it.
func deleteAll(ctx context.Context, target Target, steps []plan.Step) (changes []event.Change, survivors inventory.Inventory, failures []string) {
	var left []inventory.Entry
	for _, s := range steps {
		if s.Action != plan.Delete {
			changes = append(changes, event.Change{Object: s.ID.String(), Action: verbs[plan.Skip]})
			continue
		}
		if ctx.Err() != nil {
			break
		}
		if err := target.Delete(ctx, s); err != nil {
			left = append(left, inventory.Entry{ID: s.ID, Version: s.Version})
			failures = append(failures, fmt.Sprintf("%s delete failed: %v", s.ID, err))
			continue
		}
		changes = append(changes, event.Change{Object: s.ID.String(), Action: verbs[plan.Delete]})
	}
	return changes, inventory.Of(left...), failures
}

func sortChanges(changes []event.Change) {
	slices.SortFunc(changes, func(a, b event.Change) int { return strings.Compare(a.Object, b.Object) })
}
