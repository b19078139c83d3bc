package controller

import (
	"context"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sluice-dev/sluice/internal/deliver"
)

// deliveries remembers what goes on with every Kustomization.
type deliveries struct {
	registry[*tracker]
	base   context.Context
	track  func() *tracker
	passes sync.WaitGroup

	// Each cluster has lanes of its own: one that hangs holds up nobody else.
	width int
	roads sync.Mutex
	lanes map[string]chan struct{}
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
	return all.registry.of(req, func() *tracker {
		t := all.track()
		t.all, t.req = all, req
		return t
	})
}

func (all *deliveries) drop(req reconcile.Request) {
	if t, found := all.forget(req); found {
		t.mu.Lock()
		t.gone = true
		t.mu.Unlock()
	}
}

// lane bounds the passes that work for one cluster.
func (all *deliveries) lane(cluster string) chan struct{} {
	all.roads.Lock()
	defer all.roads.Unlock()
	lane, found := all.lanes[cluster]
	if !found {
		lane = make(chan struct{}, max(all.width, 1))
		if all.lanes == nil {
			all.lanes = map[string]chan struct{}{}
		}
		all.lanes[cluster] = lane
	}
	return lane
}

// wait returns when no pass goes on any more.
func (all *deliveries) wait() { all.passes.Wait() }

// start makes a pass beside the workers, in a lane of its cluster; if one goes
// on, another follows it. The pass returns when the next is due.
func (t *tracker) start(cluster string, pass func(context.Context) time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.busy || t.gone {
		t.again = true
		return
	}
	t.busy = true
	t.all.passes.Go(func() {
		due := t.inLane(t.all.lane(cluster), pass)
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
func (t *tracker) inLane(lane chan struct{}, pass func(context.Context) time.Time) time.Time {
	select {
	case lane <- struct{}{}:
		defer func() { <-lane }()
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
