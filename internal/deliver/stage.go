package deliver

import (
	"context"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/health"
	"github.com/sluice-dev/sluice/internal/plan"
)

// stageTimeout is how long a stage may take to be established before the next
// begins (fluxcd/pkg/ssa DefaultApplyOptions WaitTimeout).
const stageTimeout = time.Minute

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

// patience waits for deletions and for kinds to be served. Not every server
// tells when: it is looked again soon, and less often the longer it takes.
func (r *rollout) patience(waits []string) turn {
	now := time.Now()
	deadline := r.stageBegun.Add(r.object.GetTimeout())
	if !now.Before(deadline) {
		return failing(event.StepApply, "timeout waiting for: "+strings.Join(waits, "; "))
	}
	look := min(max(now.Sub(r.stageBegun)/2, time.Second), 30*time.Second)
	return waitUntil(soonest(deadline, now.Add(look)))
}
