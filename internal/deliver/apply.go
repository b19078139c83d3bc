package deliver

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/object"
	"github.com/sluice-dev/sluice/internal/plan"
)

// apply goes from stage to stage. A stage whose objects cannot be known yet, or
// are not established yet, is waited for.
func (r *rollout) apply(ctx context.Context) turn {
	for r.stage < len(r.plan.Stages) {
		if r.stageBegun.IsZero() {
			r.stageBegun = time.Now()
		}
		if t := r.write(ctx); t.stops() {
			return t
		}
		r.writing = false
		if t := r.established(ctx); t.stops() {
			return t
		}
		r.stage++
		r.stageBegun, r.stageWrote = time.Time{}, false
	}
	r.applied = true
	return onward
}

// write makes the writes of the present stage, and those that become known
// while it is written.
func (r *rollout) write(ctx context.Context) turn {
	for {
		if t := r.lookAgain(ctx); t.stops() {
			return t
		}
		by := sorted(r.plan.Stages[r.stage])
		switch {
		case len(by.refused) > 0:
			return r.refused(event.StepApply, by.refused)
		case len(by.writes) > 0:
			if !r.announced { // the first plan had nothing to write
				if t := r.announce(ctx); t.stops() {
					return t
				}
			}
			if t := r.send(ctx, by.writes); t.stops() {
				return t
			}
		case len(by.deferred) > 0:
			return r.patience(by.deferred)
		default:
			return onward
		}
	}
}

// byAction are the steps of a stage that are not done.
type byAction struct {
	writes, refused []plan.Step
	deferred        []string
}

func sorted(stage plan.Stage) byAction {
	var by byAction
	for _, s := range stage.Steps {
		switch {
		case s.Action.Writes():
			by.writes = append(by.writes, s)
		case s.Action == plan.Refuse:
			by.refused = append(by.refused, s)
		case s.Action == plan.Defer:
			by.deferred = append(by.deferred, fmt.Sprintf("%s %s", s.ID, s.Why))
		}
	}
	return by
}

// lookAgain observes what could not be known before, and plans it.
func (r *rollout) lookAgain(ctx context.Context) turn {
	var ids []object.ID
	for _, s := range r.plan.Stages[r.stage].Steps {
		if s.Action == plan.Defer || r.again[s.ID] {
			ids = append(ids, s.ID)
		}
	}
	if len(ids) == 0 {
		return onward
	}
	live, err := r.target.Observe(ctx, Ask{Owner: r.owner(), Want: subset(r.objects(), ids), Rules: r.in.Rules})
	if err != nil {
		return transient(event.StepApply, err)
	}
	for id, l := range live {
		r.in.Live[id] = l
		delete(r.again, id)
	}
	r.plan = plan.Compute(r.in)
	return onward
}
