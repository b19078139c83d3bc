// Package deliver is the path from a published bundle to running objects. It
// is the only place that orders effects.
//
// In: Kustomizations with what their sources published, and ports to
// everything outside. Out: events. A pass does all that can be done now and
// returns: it never waits for a dependency, for health or for a deletion. What
// it waits for wakes it. Nothing is written to a cluster but the steps of a
// Plan, and nothing before the inventory that will own it is written down.
package deliver

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sluice-dev/sluice/internal/build"
	"github.com/sluice-dev/sluice/internal/event"
)

// Engine is what all deliveries share.
type Engine struct {
	Builds  *build.Cache
	Bundles Bundles
	Values  Values
	Peers   Peers
	Targets Targets
	Claims  Claims
	Policy  Policy
}

// Policy holds flags and gates.
type Policy struct {
	// Strict: an undefined variable fails the build (gate
	// StrictPostBuildSubstitutions).
	Strict bool
	// Additive: a readyExpr is checked beside the built-in rule, not instead
	// (gate AdditiveCELDependencyCheck).
	Additive bool
	// Supersede: a newer revision ends the wait for an older one (gate
	// CancelHealthCheckOnNewRevision).
	Supersede bool
	// FailFast: a Failed object ends the wait for the others (gate
	// DisableFailFastBehavior, inverted).
	FailFast bool
	// Reverse: drift is reversed when it is seen, not only at the interval.
	Reverse bool
	// Recheck is when something that an event should announce is looked at
	// anyway (--requeue-dependency).
	Recheck time.Duration
	// Spread moves the time of the next run by up to this share of the interval.
	Spread func(time.Duration) time.Duration

	Apply ApplyPolicy
}

// Delivery is what is remembered of one Kustomization between passes. Passes
// over one Kustomization never overlap.
type Delivery struct {
	engine  *Engine
	journal Journal

	run      *rollout  // going on; nil between roll-outs
	wish     wish      // of the last roll-out that began
	next     time.Time // when the next is due by the clock; zero is never
	failures int       // in a row
	hungry   time.Time // since when newer revisions keep it from being Ready
	seen     history   // artifacts published since it was Ready
	kept     *kept     // what was delivered last

	mu     sync.Mutex
	wanted *Wanted // for Claims
}

// New makes a delivery that has done nothing yet.
func New(engine *Engine, journal Journal) *Delivery {
	return &Delivery{engine: engine, journal: journal}
}

// Pass is what came of a pass.
type Pass struct {
	// Again is when the next pass is due if nothing wakes it before; zero is never.
	Again time.Time
	// Waiting: a roll-out goes on and waits.
	Waiting bool
	// Ended: a roll-out ended in this pass, after Took.
	Ended bool
	Took  time.Duration
}

// Advance does all that can be done now.
func (d *Delivery) Advance(ctx context.Context, o Occasion) Pass {
	now := time.Now()
	want := o.wish()
	d.seen.add(o.Source.Artifact)
	switch {
	case d.run != nil && d.run.wish != want:
		if !d.supersedes(o, want, now) {
			break
		}
		fallthrough
	case d.run == nil && (d.wish != want || !d.next.IsZero() && !now.Before(d.next)):
		d.begin(o, want, now)
	}
	if d.run == nil {
		return d.attend(ctx, o, now)
	}
	return d.proceed(ctx, o)
}

// Rest forgets the roll-out: the object is suspended.
func (d *Delivery) Rest() {
	d.run, d.kept, d.wish, d.next = nil, nil, wish{}, time.Time{}
	d.hungry = time.Time{}
}

func (d *Delivery) begin(o Occasion, want wish, now time.Time) {
	verify := now
	if d.wish != (wish{}) && d.wish != want && d.kept != nil {
		verify = time.Time{} // new content: what is known of the cluster is as good as its watches
	}
	d.run = &rollout{
		Engine: d.engine, journal: d.journal, object: o.Kustomization.DeepCopy(), source: o.Source, cycle: o.Cycle,
		wish: want, started: now, verify: verify, first: d.wish != want, hungry: d.starved(o, now), seen: d.seen,
	}
	d.run.wants = d.want
	if d.kept != nil {
		d.run.warned, d.run.fought = d.kept.warned, d.kept.fights
	}
	d.wish, d.next = want, time.Time{}
	d.journal.Begin(d.run.object)
}

// supersedes decides whether a changed wish ends the roll-out that waits for an
// older one (engine rule 3).
func (d *Delivery) supersedes(o Occasion, want wish, now time.Time) bool {
	old := d.run.wish
	if old.generation != want.generation || old.requested != want.requested || old.allowed != want.allowed {
		return true // somebody asked for it
	}
	if d.run.holds(now) || !d.engine.Policy.Supersede && d.run.applied {
		return false
	}
	if d.hungry.IsZero() {
		d.hungry = d.run.started
	}
	if d.starved(o, now) && d.run.applied {
		return false // finish this one first, or no one would ever be finished
	}
	return true
}

// starved tells whether newer revisions have kept a Kustomization from being
// Ready for as long as its timeout.
func (d *Delivery) starved(o Occasion, now time.Time) bool {
	return !d.hungry.IsZero() && now.Sub(d.hungry) >= o.Kustomization.GetTimeout()
}

// proceed takes steps until one waits, fails or the last is done.
func (d *Delivery) proceed(ctx context.Context, o Occasion) Pass {
	r := d.run
	r.cycle, r.hungry = o.Cycle, d.starved(o, time.Now())
	for r.at < len(steps) {
		t := steps[r.at].do(r, ctx)
		switch {
		case ctx.Err() != nil:
			d.run, d.wish = nil, wish{} // abandoned; whoever takes over starts again
			return Pass{}
		case errors.Is(t.err, ErrOutdated):
			d.run, d.wish = nil, wish{}
			return Pass{Again: time.Now()}
		case t.err != nil:
			d.run, d.wish = nil, wish{}
			d.failures++
			return Pass{Again: time.Now().Add(pause(d.failures))}
		case t.failed != nil:
			return d.fail(ctx, *t.failed, t.retry)
		case t.wait:
			return Pass{Again: t.until, Waiting: true}
		}
		r.at++
	}
	return d.finish()
}

func (d *Delivery) fail(ctx context.Context, failed event.Failed, retry time.Duration) Pass {
	r, now := d.run, time.Now()
	failed.Text = r.mask(failed.Text)
	if failed.Attempt == nil {
		failed.Attempt = r.attempt()
	}
	if retry == 0 {
		retry = r.object.GetRetryInterval()
	}
	if !failed.Stalled {
		failed.RetryAt = now.Add(retry)
		d.next = failed.RetryAt
	}
	d.run, d.hungry = nil, time.Time{}
	d.failures++
	if err := d.journal.Record(ctx, event.Event{At: now, Failed: &failed}); err != nil {
		d.wish = wish{}
		return Pass{Again: now.Add(pause(d.failures))}
	}
	if d.kept != nil {
		d.kept.failing = true
	}
	return Pass{Again: d.next, Ended: true, Took: now.Sub(r.started)}
}

func (d *Delivery) finish() Pass {
	r, now := d.run, time.Now()
	d.run, d.failures, d.hungry, d.seen = nil, 0, time.Time{}, history{}
	d.next = now.Add(d.engine.Policy.Spread(r.object.GetRequeueAfter()))
	before := d.kept
	d.kept = &kept{rollout: r, drift: map[string]*reversals{}}
	if before != nil && !r.first {
		d.kept.drift = before.drift
	}
	return Pass{Again: d.next, Ended: true, Took: now.Sub(r.started)}
}

// pause is how long to wait before what failed outside of the user's reach is
// tried again.
func pause(failures int) time.Duration {
	return min(time.Second<<min(failures, 5), 30*time.Second)
}
