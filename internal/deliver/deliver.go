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
	"sync"
	"time"
)

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
	unserved *rollout  // failed because nobody serves a kind that it needs
	warned   warnings
	said     utterance

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
	d.seen.add(o.Source.Artifact)
	if d.due(ctx, o, now) {
		if err := d.cancel(ctx, o); err != nil {
			return d.abandon(ctx, err)
		}
		d.begin(o, now)
	}
	if d.run == nil {
		return d.attend(ctx, o, now)
	}
	pass := d.proceed(ctx, o)
	if pass.Ended && d.wish != o.wish() {
		pass.Again = time.Now() // what came meanwhile had to wait for its end
	}
	return pass
}

// due tells whether a roll-out begins, in place of the one that goes on if there
// is one.
func (d *Delivery) due(ctx context.Context, o Occasion, now time.Time) bool {
	want := o.wish()
	switch {
	case d.run != nil:
		return d.run.wish != want && d.supersedes(o, want, now)
	case d.wish != want:
		return true
	case !d.next.IsZero() && !now.Before(d.next):
		return true
	}
	return d.served(ctx)
}

// served tells whether a kind that was missing has come: its definition wakes
// what waits for it.
func (d *Delivery) served(ctx context.Context) bool {
	r := d.unserved
	if r == nil {
		return false
	}
	lacking := 0
	for _, live := range r.in.Live {
		if live.Unserved {
			lacking++
		}
	}
	missing, err := r.target.Kinds(ctx, r.built.Objects)
	return err == nil && len(missing) < lacking
}

// Rest forgets the roll-out: the object is suspended.
func (d *Delivery) Rest() {
	d.run, d.kept, d.unserved, d.wish, d.next = nil, nil, nil, wish{}, time.Time{}
	d.hungry, d.said = time.Time{}, utterance{}
}

func (d *Delivery) begin(o Occasion, now time.Time) {
	want := o.wish()
	verify := now.Add(-sharedFor(o, d.wish.requested != want.requested))
	if d.kept != nil && d.wish != (wish{}) && d.wish != want && d.wish.requested == want.requested {
		verify = time.Time{} // new content: what is known of the cluster is as good as its watches
	}
	if d.wish.requested != want.requested || d.wish.generation != want.generation {
		d.said = utterance{} // whoever asked is answered
	}
	d.run = &rollout{
		Engine: d.engine, journal: d.journal, object: o.Kustomization.DeepCopy(), source: o.Source, cycle: o.Cycle,
		wish: want, started: now, verify: verify, first: d.wish != want, fresh: d.wish != want || d.failures == 0,
		seen: &d.seen, warned: &d.warned, said: &d.said, wants: d.want,
	}
	if d.kept != nil {
		d.run.fought = d.kept.fights
		if d.kept.object.Generation == want.generation {
			d.run.rules = d.kept.rules
		}
	}
	d.wish, d.next, d.unserved = want, time.Time{}, nil
	d.journal.Begin(d.run.object)
}

// sharedFor is how old a list of the cluster may be that verifies what is
// known: all who run in that time share one for each kind.
func sharedFor(o Occasion, asked bool) time.Duration {
	if asked {
		return 2 * time.Second
	}
	return min(o.Kustomization.GetRequeueAfter()/10, time.Minute)
}
