package deliver

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/object"
	"github.com/sluice-dev/sluice/internal/plan"
)

// kept is what was delivered last and is attended to until the next roll-out.
type kept struct {
	*rollout
	drift   map[string]*reversals
	failing bool      // a later roll-out failed, or health was lost
	bad     time.Time // since when it is not healthy
	lost    bool      // Ready was taken back because of that
}

// reversals of drift of one object.
type reversals struct {
	count int
	next  time.Time
}

// Patience with what was Ready once (engine rule 5).
const inProgressPatience = 30 * time.Second

// attend looks after what was delivered: it reverses drift and takes Ready back
// when health is lost. It asks nobody: it reads what watches have brought.
func (d *Delivery) attend(ctx context.Context, o Occasion, now time.Time) Pass {
	k := d.kept
	if k == nil || k.failing && !k.lost {
		return Pass{Again: d.next}
	}
	again := d.next
	if d.engine.Policy.Reverse && !k.lost {
		drifted, due, err := k.drifted(ctx, now, o.Kustomization.GetRequeueAfter())
		if err != nil {
			return Pass{Again: soonest(again, now.Add(pause(0)))}
		}
		if drifted {
			d.begin(o, o.wish(), now)
			d.run.verify = time.Time{} // the watch said so
			return d.proceed(ctx, o)
		}
		again = soonest(again, due)
	}
	return Pass{Again: soonest(again, d.wellbeing(ctx, o, now))}
}

func soonest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// drifted finds objects that are not as wanted and whose turn it is: the first
// reversal is immediate, then each waits longer, up to the interval.
func (k *kept) drifted(ctx context.Context, now time.Time, interval time.Duration) (bool, time.Time, error) {
	live, err := k.target.Observe(ctx, Ask{Owner: k.owner(), Want: k.built.Objects, Rules: k.applyRules(), Quiet: true})
	if err != nil {
		return false, time.Time{}, err
	}
	var due time.Time
	found := false
	jobs := k.jobsWithTTL()
	for id, l := range live {
		if l.Converged || l.Object == nil && jobs[id] || l.Owner != (plan.Owner{}) && l.Owner != k.owner() {
			continue // as wanted, done, or taken by another: that is settled at the interval
		}
		back := k.drift[id.String()]
		if back == nil {
			back = &reversals{}
			k.drift[id.String()] = back
		}
		if now.Before(back.next) {
			due = soonest(due, back.next)
			continue
		}
		found = true
		back.count++
		back.next = now.Add(min(interval, time.Second<<min(back.count, 12)))
	}
	return found, due, nil
}

// fights names the objects that were reversed more than three times.
func (k *kept) fights(id object.ID) bool {
	back := k.drift[id.String()]
	return back != nil && back.count > 3
}

// wellbeing takes Ready back on a Failed object at once, and on one that is in
// progress for too long; and gives it back.
func (d *Delivery) wellbeing(ctx context.Context, o Occasion, now time.Time) time.Time {
	k := d.kept
	checks := k.checks()
	if len(checks) == 0 {
		return time.Time{}
	}
	outcome, err := k.assess(ctx, checks)
	if err != nil {
		return now.Add(pause(0))
	}
	tell := func(e event.Event) {
		e.At = now
		d.journal.Begin(o.Kustomization)
		if d.journal.Record(ctx, e) != nil {
			k.bad = time.Time{}
		}
	}
	switch {
	case outcome.Done && !outcome.Failed:
		k.bad = time.Time{}
		if k.lost {
			k.lost, k.failing = false, false
			tell(event.Event{Healthy: &event.Healthy{}})
			tell(event.Event{Delivered: &event.Delivered{
				Attempt: *k.attempt(), Inventory: items(k.finalInventory()), Checked: true, Next: k.object.GetRequeueAfter(),
			}})
		}
	case k.lost:
	case outcome.Done && outcome.Failed:
		k.lost, k.failing = true, true
		tell(event.Event{Failed: &event.Failed{Step: event.StepHealth, Attempt: k.attempt(), Text: "health was lost: " + k.mask(outcome.Stalled())}})
	case k.bad.IsZero():
		k.bad = now
		return now.Add(inProgressPatience)
	case now.Sub(k.bad) < inProgressPatience:
		return k.bad.Add(inProgressPatience)
	default:
		k.lost, k.failing = true, true
		tell(event.Event{Failed: &event.Failed{
			Step: event.StepHealth, Attempt: k.attempt(),
			Text: fmt.Sprintf("health was lost for more than %s: %s", inProgressPatience, k.mask(outcome.TimedOut())),
		}})
	}
	return time.Time{}
}
