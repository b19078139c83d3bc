package deliver

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/inventory"
	"github.com/sluice-dev/sluice/internal/plan"
)

// prune deletes what is owned and wanted no more, in reverse apply order. What
// cannot be deleted stays in the inventory.
func (r *rollout) prune(ctx context.Context) turn {
	if t := r.lookAtStale(ctx); t.stops() {
		return t
	}
	r.plan.Prune = slices.DeleteFunc(r.plan.Prune, r.handsOver)
	d := deleteAll(ctx, r.target, r.plan.Prune)
	r.pruned, r.plan.Prune = true, d.left
	if ctx.Err() != nil {
		return turn{err: ctx.Err()}
	}
	if err := r.tell(ctx, d.changed); err != nil {
		return turn{err: err}
	}
	if len(d.failed) == 0 {
		return onward
	}
	t := failing(event.StepPrune, joinLines(d.failed))
	t.passing = d.passing
	t.failed.Inventory = items(r.owned().Union(d.survivors()))
	return t
}

// handsOver tells whether a step leaves an object to another Kustomization that
// has not taken it yet: until then it stays in our inventory, or it would be in
// none.
func (r *rollout) handsOver(s plan.Step) bool {
	live := r.in.Live[s.ID].Object
	if s.Action != plan.Skip || r.in.Claimed[s.ID] == "" || live == nil || plan.OwnerOf(live) != r.owner() {
		return false
	}
	r.handed = append(r.handed, inventory.Entry{ID: s.ID, Version: s.Version})
	return true
}

// owned is what is owned when everything is done. As in Flux, what is wanted no
// more and not pruned, because prune is off or by a mark, is not.
func (r *rollout) owned() inventory.Inventory {
	return r.plan.Inventory().Union(inventory.Of(r.handed...))
}

// lookAtStale looks again at what is to be deleted if the plan has aged: what
// another Kustomization has taken meanwhile is not ours to delete.
func (r *rollout) lookAtStale(ctx context.Context) turn {
	if len(r.plan.Prune) == 0 || !r.aged || r.pruned {
		return onward
	}
	var stale []inventory.Entry
	for _, s := range r.plan.Prune {
		stale = append(stale, inventory.Entry{ID: s.ID, Version: s.Version})
	}
	inv := inventory.Of(stale...)
	live, err := r.target.Observe(ctx, Ask{Owner: r.owner(), Stale: checksOf(inv), Rules: r.in.Rules})
	if err != nil {
		return transient(event.StepPrune, err)
	}
	claimed, err := r.Claims.Claimed(ctx, r.object, inv.IDs())
	if err != nil {
		return transient(event.StepPrune, err)
	}
	maps.Copy(r.in.Live, live)
	r.in.Claimed = claimed
	r.plan.Prune = plan.Compute(r.in).Prune
	return onward
}

// deletions are what came of pruning.
type deletions struct {
	changed []event.Change
	left    []plan.Step // what could not be deleted
	failed  []string
	passing bool // all that failed passes by itself
}

// deleteAll does the deletions of a plan one after the other: their order is
// part of it.
func deleteAll(ctx context.Context, target Target, steps []plan.Step) deletions {
	d := deletions{passing: true}
	for _, s := range steps {
		var err error
		switch s.Action {
		case plan.Delete:
			if ctx.Err() != nil {
				return d
			}
			if err = target.Delete(ctx, s); err != nil {
				d.failed = append(d.failed, fmt.Sprintf("%s delete failed: %v", s.ID, err))
			}
		case plan.Refuse: // it could not be read: nothing is known of it
			if err = s.Err; err != nil {
				d.failed = append(d.failed, s.Why)
			}
		}
		if err != nil {
			d.left, d.passing = append(d.left, s), d.passing && s.Action == plan.Delete && isTransient(err)
			continue
		}
		verb := verbs[plan.Skip]
		if s.Action == plan.Delete {
			verb = verbs[plan.Delete]
		}
		d.changed = append(d.changed, event.Change{Object: s.ID.String(), Action: verb})
	}
	return d
}

func (d deletions) survivors() inventory.Inventory {
	var left []inventory.Entry
	for _, s := range d.left {
		left = append(left, inventory.Entry{ID: s.ID, Version: s.Version})
	}
	return inventory.Of(left...)
}
