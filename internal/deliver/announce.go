package deliver

import (
	"context"

	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/plan"
)

// announce writes down what is about to be owned, before the first write:
// whatever happens then, nothing is untracked.
func (r *rollout) announce(ctx context.Context) turn {
	if err := r.remarks(ctx); err != nil {
		return turn{err: err}
	}
	if r.announced || !pending(r.plan) {
		return onward
	}
	if r.blocked { // nothing is written before the dependencies are Ready
		r.pressing = true
		return turn{restart: true}
	}
	err := r.record(ctx, event.Event{Planned: &event.Planned{
		Attempt: *r.attempt(), Timeout: r.object.GetTimeout(), Inventory: items(r.own.Union(r.plan.Inventory())),
		Checks: len(r.checks()) > 0, Summary: r.plan.Summary(),
	}})
	r.announced = err == nil
	return turn{err: err}
}

// pending tells whether there is something to do, now or when more is known.
func pending(p plan.Plan) bool {
	for s := range p.All() {
		if s.Action.Writes() || s.Action == plan.Defer {
			return true
		}
	}
	return false
}
