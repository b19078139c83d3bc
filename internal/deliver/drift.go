package deliver

import (
	"context"
	"time"

	"github.com/sluice-dev/sluice/internal/object"
	"github.com/sluice-dev/sluice/internal/plan"
)

// reversals are what was done against drift, by object.
type reversals map[object.ID]*reversal

type reversal struct {
	count int // in a row
	next  time.Time
}

// drifted finds objects that are not as wanted and whose turn it is: the first
// reversal is immediate, then each waits longer, up to the interval. What
// another Kustomization has taken is settled at the interval.
func (k *kept) drifted(ctx context.Context, now time.Time) (bool, time.Time, error) {
	live, err := k.target.Observe(ctx, Ask{Owner: k.owner(), Want: k.built.Objects, Rules: k.applyRules(), Quiet: true})
	if err != nil {
		return false, time.Time{}, err
	}
	var due time.Time
	found := false
	jobs, wanted, interval := k.jobsWithTTL(), k.objects(), k.object.GetRequeueAfter()
	for id, l := range live {
		done := l.Object == nil && jobs[id] != nil
		taken := l.Owner != (plan.Owner{}) && l.Owner != k.owner()
		if l.Converged || done || taken || plan.Left(wanted[id], l.Object) != "" {
			continue
		}
		next := k.drift.next(id)
		if now.Before(next) {
			due = soonest(due, next)
			continue
		}
		found = true
		k.drift.count(id, now, interval)
	}
	return found, due, nil
}

func (r reversals) next(id object.ID) time.Time {
	if back := r[id]; back != nil {
		return back.next
	}
	return time.Time{}
}

// count counts a reversal. After an interval of peace it is the first again.
func (r reversals) count(id object.ID, now time.Time, interval time.Duration) {
	back := r[id]
	if back == nil || now.Sub(back.next) > interval {
		back = &reversal{}
		r[id] = back
	}
	back.count++
	back.next = now.Add(min(interval, time.Second<<min(back.count, 12)))
}

// fights names the objects that were reversed more than three times.
func (k *kept) fights(id object.ID) bool {
	back := k.drift[id]
	return back != nil && back.count > 3
}
