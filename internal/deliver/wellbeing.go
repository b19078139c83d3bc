package deliver

import (
	"context"
	"time"

	"github.com/sluice-dev/sluice/internal/event"
)

// Patience with what was Ready once (engine rule 5).
const inProgressPatience = 30 * time.Second

// wellbeing takes Ready back on a Failed object at once, and on one that is in
// progress for too long; and gives it back. It returns when to look again if
// nothing wakes it.
func (d *Delivery) wellbeing(ctx context.Context, o Occasion, now time.Time) time.Time {
	k := d.kept
	checks := k.checks()
	if len(checks) == 0 {
		return time.Time{}
	}
	outcome, err := k.assess(ctx, checks)
	if err != nil {
		return now.Add(k.trouble())
	}
	k.troubles = 0
	switch {
	case len(outcome.Waiting) == 0:
		return d.regain(ctx, o, now)
	case k.lost:
	case outcome.Failed:
		return d.lose(ctx, o, now, outcome.Stalled())
	case k.bad.IsZero():
		k.bad = now
		return now.Add(inProgressPatience)
	case now.Sub(k.bad) < inProgressPatience:
		return k.bad.Add(inProgressPatience)
	default:
		return d.lose(ctx, o, now, outcome.TimedOut())
	}
	return now.Add(watchful)
}

// lose says that health was lost. It is tried again as after any failure; the
// objects may be sooner.
func (d *Delivery) lose(ctx context.Context, o Occasion, now time.Time, why string) time.Time {
	k := d.kept
	if k.bad.IsZero() {
		k.bad = now
	}
	retry := now.Add(o.Kustomization.GetRetryInterval())
	d.journal.Begin(o.Kustomization)
	err := k.record(ctx, event.Event{Failed: &event.Failed{
		Step: event.StepHealth, Attempt: k.attempt(), Text: k.mask(unhealthy(now.Sub(k.bad), why)), RetryAt: retry,
	}})
	if err != nil {
		return now.Add(k.trouble())
	}
	k.lost, d.next = true, soonest(d.next, retry)
	return now.Add(watchful)
}

// regain says that everything is healthy again.
func (d *Delivery) regain(ctx context.Context, o Occasion, now time.Time) time.Time {
	k := d.kept
	if !k.lost {
		k.bad = time.Time{}
		return now.Add(watchful)
	}
	took := now.Sub(k.started)
	if !k.bad.IsZero() {
		took = now.Sub(k.bad)
	}
	k.started = now.Add(-took)
	d.journal.Begin(o.Kustomization)
	err := k.record(ctx, event.Event{Healthy: &event.Healthy{Took: took}})
	if err == nil {
		err = k.conclude(ctx).err
	}
	if err != nil {
		return now.Add(k.trouble())
	}
	k.lost, k.bad = false, time.Time{}
	d.failures, d.next = 0, now.Add(d.engine.Policy.Spread(k.object.GetRequeueAfter()))
	return now.Add(watchful)
}
