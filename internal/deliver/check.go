package deliver

import (
	"context"
	"fmt"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/health"
	"github.com/sluice-dev/sluice/internal/object"
	"github.com/sluice-dev/sluice/internal/plan"
)

// checks are the objects whose health the Kustomization waits for
// (kustomization_controller.go checkHealth): with wait all that were not
// skipped, else what healthChecks lists; never itself.
func (r *rollout) checks() []Check {
	var list []Check
	add := func(c Check) {
		self := c.Kind == kustomizev1.KustomizationKind && c.Name == r.object.Name && c.Namespace == r.object.Namespace
		if !self {
			list = append(list, c)
		}
	}
	if r.object.Spec.Wait {
		for _, stage := range r.plan.Stages {
			for _, s := range stage.Steps {
				if s.Action != plan.Skip {
					add(Check{ID: s.ID, Version: s.Version})
				}
			}
		}
		return list
	}
	for _, ref := range r.object.Spec.HealthChecks {
		gv, err := schema.ParseGroupVersion(ref.APIVersion)
		if err != nil {
			continue
		}
		if ref.APIVersion == "" {
			gv = schema.GroupVersion{Group: "apps", Version: "v1"}
		}
		add(Check{ID: object.ID{Group: gv.Group, Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name}, Version: gv.Version})
	}
	return list
}

// check waits until everything is healthy. Watches wake it. Where nothing was
// to be done, it is for attend to notice that health was lost.
func (r *rollout) check(ctx context.Context) turn {
	checks := r.checks()
	if len(checks) == 0 {
		return onward
	}
	if r.settled() && !r.announced {
		r.unchecked = true
		return onward
	}
	begun := r.checking
	if begun.IsZero() {
		begun = time.Now()
	}
	outcome, err := r.assess(ctx, checks)
	if err != nil {
		return transient(event.StepHealth, err)
	}
	timeout, took := r.object.GetTimeout(), time.Since(begun)
	switch {
	case outcome.Done && outcome.Failed:
		return failing(event.StepHealth, unhealthy(took, outcome.Stalled()))
	case outcome.Done:
		return turn{err: r.record(ctx, event.Event{Healthy: &event.Healthy{Took: took}})}
	case took >= timeout:
		return failing(event.StepHealth, unhealthy(timeout, outcome.TimedOut()))
	}
	if r.checking.IsZero() { // it is said once
		err = r.record(ctx, event.Event{Checking: &event.Checking{Attempt: *r.attempt(), Timeout: timeout}})
		if err != nil {
			return turn{err: err}
		}
		r.checking = begun
	}
	return waitUntil(soonest(begun.Add(timeout), time.Now().Add(watchful)))
}

// watchful is how often health is asked for where nothing wakes: watches end
// when nobody asks (Target.Judge).
const watchful = 10 * time.Minute

func unhealthy(took time.Duration, why string) string {
	return fmt.Sprintf("health check failed after %s: %s", took.Round(time.Second), why)
}

func (r *rollout) assess(ctx context.Context, checks []Check) (health.Outcome, error) {
	verdicts, err := r.target.Judge(ctx, r.owner(), checks, r.rules)
	if err != nil {
		return health.Outcome{}, err
	}
	for id := range r.jobsWithTTL() {
		if v, asked := verdicts[id]; asked && v.Status == health.NotFound {
			verdicts[id] = health.Missing(id, true)
		}
	}
	return health.Assess(verdicts, r.Policy.FailFast), nil
}

// conclude writes down the exact inventory and the outcome.
func (r *rollout) conclude(ctx context.Context) turn {
	return turn{err: r.record(ctx, event.Event{Delivered: &event.Delivered{
		Attempt: *r.attempt(), Inventory: items(r.owned()), Checked: len(r.checks()) > 0, Jobs: r.jobDigests(),
		Took: time.Since(r.started), Next: r.object.GetRequeueAfter(),
	}})}
}
