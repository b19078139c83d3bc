package controller

import (
	"context"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sluice-dev/sluice/internal/deliver"
)

// deliveries remembers what goes on with every Kustomization. Losing it in a
// restart costs one look at each.
type deliveries struct {
	base  context.Context
	track func(reconcile.Request) *tracker
	lanes chan struct{}

	mu     sync.Mutex
	wake   func(reconcile.Request, time.Duration)
	byName map[reconcile.Request]*tracker
	passes sync.WaitGroup
}

// tracker is what is remembered of one Kustomization. A pass over it runs
// beside the workers; passes over one object never overlap.
type tracker struct {
	all      *deliveries
	req      reconcile.Request
	journal  *journal
	delivery *deliver.Delivery
	removal  *deliver.Removal

	mu     sync.Mutex
	busy   bool
	again  bool // woken during a pass
	gone   bool
	nudges int
}

func (all *deliveries) of(req reconcile.Request) *tracker {
	all.mu.Lock()
	defer all.mu.Unlock()
	t, found := all.byName[req]
	if !found {
		t = all.track(req)
		t.all, t.req = all, req
		if all.byName == nil {
			all.byName = map[reconcile.Request]*tracker{}
		}
		all.byName[req] = t
	}
	return t
}

// find gives what is remembered of an object, without beginning to.
func (all *deliveries) find(req reconcile.Request) *tracker {
	all.mu.Lock()
	defer all.mu.Unlock()
	return all.byName[req]
}

func (all *deliveries) drop(req reconcile.Request) {
	all.mu.Lock()
	t := all.byName[req]
	delete(all.byName, req)
	all.mu.Unlock()
	if t != nil {
		t.mu.Lock()
		t.gone = true
		t.mu.Unlock()
	}
}

// call wakes an object after a while. Before the queue is there everything is
// going to be looked at anyway.
func (all *deliveries) call(req reconcile.Request, after time.Duration) {
	all.mu.Lock()
	wake := all.wake
	all.mu.Unlock()
	if wake != nil {
		wake(req, after)
	}
}

// serve connects the queue that wakes objects; its delays are the one heap of
// timers.
func (all *deliveries) serve(wake func(reconcile.Request, time.Duration)) {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.wake = wake
}

// wait returns when no pass goes on any more.
func (all *deliveries) wait() { all.passes.Wait() }

// start makes a pass beside the workers; if one goes on, another follows it.
// The pass returns when the next is due.
func (t *tracker) start(pass func(context.Context) time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.busy || t.gone {
		t.again = true
		return
	}
	t.busy = true
	t.all.passes.Go(func() {
		due := t.inLane(pass)
		t.mu.Lock()
		t.busy = false
		again := t.again && !t.gone
		t.again = false
		t.mu.Unlock()
		switch {
		case t.all.base.Err() != nil:
		case again:
			t.all.call(t.req, 0)
		case !due.IsZero():
			t.all.call(t.req, max(time.Until(due), time.Millisecond))
		}
	})
}

// inLane makes the pass when there is room among the passes that work. Waiting
// for health or for others is no work and takes no room.
func (t *tracker) inLane(pass func(context.Context) time.Time) time.Time {
	select {
	case t.all.lanes <- struct{}{}:
		defer func() { <-t.all.lanes }()
		return pass(t.all.base)
	case <-t.all.base.Done():
		return time.Time{}
	}
}

func (t *tracker) nudge() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.nudges++
}

func (t *tracker) nudged() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.nudges
}
