package deliver

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/object"
	"github.com/sluice-dev/sluice/internal/plan"
)

// mostReplaced is how often an object is replaced in one roll-out: one that is
// always there again is made by somebody else.
const mostReplaced = 3

// verbs of what was done, in Flux's words (fluxcd/pkg/ssa changeset.go).
var verbs = map[plan.Action]string{plan.Create: "created", plan.Update: "configured", plan.Delete: "deleted", plan.Skip: "skipped"}

// sending is a set of writes that are made side by side.
type sending struct {
	mu      sync.Mutex
	changed []event.Change
	failed  []string
	passing bool // all that failed passes by itself
}

// send makes writes side by side. After a failure nothing more is begun, and
// what was done is told with it.
func (r *rollout) send(ctx context.Context, writes []plan.Step) turn {
	r.stageWrote, r.writing, r.aged = true, true, true
	s := &sending{passing: true}
	var wg sync.WaitGroup
	slots := make(chan struct{}, max(r.Policy.Apply.Concurrent, 1))
	for _, step := range writes {
		slots <- struct{}{}
		if s.stopped() || ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			_, err := r.target.Apply(ctx, step)
			s.mu.Lock()
			defer s.mu.Unlock()
			r.wrote(s, step, err)
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return turn{err: ctx.Err()}
	}
	if err := r.tell(ctx, s.changed); err != nil {
		return turn{err: err}
	}
	if len(s.failed) == 0 {
		return onward
	}
	slices.Sort(s.failed)
	t := failing(event.StepApply, joinLines(s.failed))
	t.passing = s.passing
	return t
}

func (s *sending) stopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.failed) > 0
}

// wrote remembers what came of a step. A replaced object is not there yet, and
// one that could not be written may be another by now.
func (r *rollout) wrote(s *sending, step plan.Step, err error) {
	if r.again == nil {
		r.again, r.replaced = map[object.ID]bool{}, map[object.ID]int{}
	}
	switch {
	case err != nil:
		r.again[step.ID] = true
		s.failed = append(s.failed, fmt.Sprintf("%s apply failed: %v", step.ID, err))
		s.passing = s.passing && isTransient(err)
	case step.Action == plan.Replace:
		r.again[step.ID] = true
		if r.replaced[step.ID]++; r.replaced[step.ID] > mostReplaced {
			s.failed = append(s.failed, fmt.Sprintf("%s was deleted to be created anew, and is always there again: something else creates it", step.ID))
			s.passing = false
		}
	default:
		// What it was before tells what it is under another name.
		r.in.Live[step.ID] = plan.Live{Converged: true, Object: r.in.Live[step.ID].Object}
		r.settle(step.ID)
		s.changed = append(s.changed, event.Change{Object: step.ID.String(), Action: verbs[step.Action]})
	}
}

// settle turns a step that is done into one that keeps.
func (r *rollout) settle(id object.ID) {
	steps := r.plan.Stages[r.stage].Steps
	for i := range steps {
		if steps[i].ID == id {
			steps[i].Action = plan.Keep
		}
	}
}

// tell records what was changed, in an order that does not depend on who was
// faster.
func (r *rollout) tell(ctx context.Context, changed []event.Change) error {
	if len(changed) == 0 {
		return nil
	}
	slices.SortFunc(changed, func(a, b event.Change) int { return strings.Compare(a.Object, b.Object) })
	return r.record(ctx, event.Event{Changed: &event.Changed{Objects: changed}})
}
