package deliver

import (
	"context"
	"errors"
	"time"

	"github.com/sluice-dev/sluice/internal/event"
)

// proceed takes steps until one waits, fails or the last is done.
func (d *Delivery) proceed(ctx context.Context, o Occasion) Pass {
	r := d.run
	r.cycle, r.hungry = o.Cycle, d.starved(o, time.Now())
	for r.at < len(steps) {
		t := steps[r.at].do(r, ctx)
		switch {
		case ctx.Err() != nil, t.err != nil:
			return d.abandon(ctx, t.err)
		case t.restart:
			r.at = 0
			continue
		case t.failed != nil && t.passing && r.mayHush():
			r.troubles, r.aged = r.troubles+1, true
			return Pass{Again: time.Now().Add(pause(r.troubles - 1)), Waiting: true}
		case t.failed != nil:
			return d.fail(ctx, t)
		case t.wait:
			r.aged = true
			return Pass{Again: t.until, Waiting: true}
		}
		r.at, r.troubles = r.at+1, 0
	}
	return d.finish()
}

// quietTries is how often something that passes by itself is tried again, for
// 15 seconds in all, before it is said: a condition that comes and goes with
// every hiccup of a server is no news.
const quietTries = 4

// mayHush: what failed a moment ago is no hiccup any more.
func (r *rollout) mayHush() bool { return r.fresh && r.troubles < quietTries }

// outdatedPause lets the cache catch up with whoever changed the object.
const outdatedPause = 50 * time.Millisecond

// abandon gives a roll-out up without a word: it could not be written down, or
// the process ends. Whoever goes on starts from the status as it is.
func (d *Delivery) abandon(ctx context.Context, err error) Pass {
	d.run, d.wish = nil, wish{}
	switch {
	case ctx.Err() != nil:
		return Pass{}
	case errors.Is(err, ErrOutdated):
		return Pass{Again: time.Now().Add(outdatedPause)}
	}
	d.failures++
	return Pass{Again: time.Now().Add(pause(d.failures))}
}

func (d *Delivery) fail(ctx context.Context, t turn) Pass {
	r, now, failed := d.run, time.Now(), *t.failed
	failed.Text = r.mask(failed.Text)
	if failed.Attempt == nil {
		failed.Attempt = r.attempt()
	}
	next := time.Time{}
	if !failed.Stalled {
		next = now.Add(r.retry(t, d.failures+1))
		failed.RetryAt = next
	}
	if err := r.record(ctx, event.Event{Failed: &failed}); err != nil {
		return d.abandon(ctx, err)
	}
	d.run, d.wish, d.next, d.hungry = nil, r.wish, next, time.Time{}
	d.failures++
	switch {
	case failed.Step == event.StepHealth:
		d.keep(r) // it is all applied: its objects say when they are healthy after all
		d.kept.lost = true
	case d.kept != nil:
		d.kept.failed = true
	}
	if t.unserved {
		d.unserved = r
	}
	return Pass{Again: d.next, Ended: true, Took: now.Sub(r.started)}
}

// retry is how long to wait after a failure.
func (r *rollout) retry(t turn, failures int) time.Duration {
	after := r.object.GetRetryInterval()
	switch {
	case t.passing:
		return min(after, pause(failures))
	case t.soon:
		return min(after, r.Policy.Recheck)
	}
	return after
}

func (d *Delivery) finish() Pass {
	r, now := d.run, time.Now()
	d.run, d.wish, d.failures, d.hungry = nil, r.wish, 0, time.Time{}
	d.seen.forget(r.source.Artifact)
	d.next = now.Add(d.engine.Policy.Spread(r.object.GetRequeueAfter()))
	d.keep(r)
	again := d.next
	if r.unchecked {
		again = now
	}
	return Pass{Again: again, Ended: true, Took: now.Sub(r.started)}
}

// keep attends to what a roll-out applied from now on. The patience with those
// who change its objects goes on with the same content.
func (d *Delivery) keep(r *rollout) {
	before := d.kept
	d.kept = &kept{rollout: r, drift: reversals{}}
	if before != nil && !r.first {
		d.kept.drift = before.drift
	}
}
