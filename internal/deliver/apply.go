package deliver

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/health"
	"github.com/sluice-dev/sluice/internal/object"
	"github.com/sluice-dev/sluice/internal/plan"
)

// stageTimeout is how long a stage may take to be established before the next
// begins (fluxcd/pkg/ssa DefaultApplyOptions WaitTimeout).
const stageTimeout = time.Minute

// announce writes down what is about to be owned, before the first write:
// whatever happens then, nothing is untracked.
func (r *rollout) announce(ctx context.Context) turn {
	if err := r.remarks(ctx); err != nil {
		return turn{err: err}
	}
	if r.plan.Writes() == 0 || r.announced {
		return onward
	}
	err := r.record(ctx, event.Event{Planned: &event.Planned{
		Attempt: *r.attempt(), Timeout: r.object.GetTimeout(), Inventory: items(r.own.Union(r.plan.Inventory())),
		Checks: len(r.checks()) > 0, Summary: r.plan.Summary(),
	}})
	r.announced = err == nil
	return turn{err: err}
}

// apply goes from stage to stage. A stage whose objects cannot be known yet, or
// are not established yet, is waited for.
func (r *rollout) apply(ctx context.Context) turn {
	for r.stage < len(r.plan.Stages) {
		if r.stageBegun.IsZero() {
			r.stageBegun = time.Now()
		}
		if t := r.write(ctx); t.wait || t.failed != nil || t.err != nil {
			return t
		}
		if t := r.established(ctx); t.wait || t.failed != nil {
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
		if t := r.lookAgain(ctx); t.failed != nil {
			return t
		}
		stage := r.plan.Stages[r.stage]
		var writes, refused []plan.Step
		var waits []string
		for _, s := range stage.Steps {
			switch {
			case s.Action.Writes():
				writes = append(writes, s)
			case s.Action == plan.Refuse:
				refused = append(refused, s)
			case s.Action == plan.Defer:
				waits = append(waits, fmt.Sprintf("%s %s", s.ID, s.Why))
			}
		}
		switch {
		case len(refused) > 0:
			return r.refused(event.StepApply, refused)
		case len(writes) > 0:
			if !r.announced { // the first plan had nothing to write, this one has
				if t := r.announce(ctx); t.err != nil {
					return t
				}
			}
			if t := r.send(ctx, writes); t.failed != nil || t.err != nil {
				return t
			}
		case len(waits) > 0:
			return r.patience(waits)
		default:
			return onward
		}
	}
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

// patience waits for deletions and for kinds to be served.
func (r *rollout) patience(waits []string) turn {
	deadline := r.stageBegun.Add(r.object.GetTimeout())
	if now := time.Now(); !now.Before(deadline) {
		return failing(event.StepApply, "timeout waiting for: "+strings.Join(waits, "; "))
	}
	return waitUntil(earlier(deadline, time.Now().Add(discoveryPause)))
}

// discoveryPause is how long a new kind may take to be served, at most, before
// it is looked for again without an event.
const discoveryPause = time.Second

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// send makes writes side by side. After a failure nothing more is begun, and
// what was done is told with it.
func (r *rollout) send(ctx context.Context, writes []plan.Step) turn {
	var (
		mu      sync.Mutex
		wg      sync.WaitGroup
		changed []event.Change
		failed  []string
		passing = true
		slots   = make(chan struct{}, max(r.Policy.Apply.Concurrent, 1))
	)
	for _, s := range writes {
		slots <- struct{}{}
		mu.Lock()
		stop := len(failed) > 0 || ctx.Err() != nil
		mu.Unlock()
		if stop {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			_, err := r.target.Apply(ctx, s)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = append(failed, fmt.Sprintf("%s apply failed: %v", s.ID, err))
				passing = passing && isTransient(err)
				return
			}
			r.wrote(s)
			if s.Action != plan.Replace {
				changed = append(changed, event.Change{Object: s.ID.String(), Action: verbs[s.Action]})
			}
		})
	}
	wg.Wait()
	r.stageWrote = true
	if ctx.Err() != nil {
		return turn{err: ctx.Err()}
	}
	sortChanges(changed)
	if len(changed) > 0 {
		if err := r.record(ctx, event.Event{Changed: &event.Changed{Objects: changed}}); err != nil {
			return turn{err: err}
		}
	}
	if len(failed) == 0 {
		return onward
	}
	t := failing(event.StepApply, joinLines(failed))
	if passing {
		t.retry = pause(1)
	}
	return t
}

// verbs of what was done, in Flux's words (fluxcd/pkg/ssa changeset.go).
var verbs = map[plan.Action]string{plan.Create: "created", plan.Update: "configured", plan.Delete: "deleted", plan.Skip: "skipped"}

// wrote remembers that a step is done; a replaced object is not there yet.
func (r *rollout) wrote(s plan.Step) {
	if s.Action != plan.Replace {
		r.in.Live[s.ID] = plan.Live{Converged: true}
		r.settle(s.ID)
		return
	}
	if r.again == nil {
		r.again = map[object.ID]bool{}
	}
	r.again[s.ID] = true
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

// established waits until the next stage can build on what this one applied.
func (r *rollout) established(ctx context.Context) turn {
	stage := r.plan.Stages[r.stage]
	if !stage.Wait || !r.stageWrote {
		return onward
	}
	var checks []Check
	for _, s := range stage.Steps {
		if s.Action != plan.Skip {
			checks = append(checks, Check{ID: s.ID, Version: s.Version})
		}
	}
	verdicts, err := r.target.Judge(ctx, r.owner(), checks, nil)
	if err != nil {
		return transient(event.StepApply, err)
	}
	outcome := health.Assess(verdicts, true)
	deadline := r.stageBegun.Add(stageTimeout)
	switch {
	case outcome.Done && outcome.Failed:
		return failing(event.StepApply, outcome.Stalled())
	case outcome.Done:
		return onward
	case !time.Now().Before(deadline):
		return failing(event.StepApply, outcome.TimedOut())
	}
	return waitUntil(deadline)
}

func joinLines(lines []string) string {
	if len(lines) > maxLines {
		lines = append(lines[:maxLines:maxLines], fmt.Sprintf("and %d more", len(lines)-maxLines))
	}
	return strings.Join(lines, "\n")
}
