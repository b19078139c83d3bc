package controller

import (
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// registry holds what is remembered of each object, and the queue that wakes
// objects. Losing it in a restart costs one look at each.
type registry[T any] struct {
	mu     sync.Mutex
	wake   func(reconcile.Request, time.Duration)
	byName map[reconcile.Request]T
}

// of gives what is remembered of an object; it is made if there is nothing.
func (r *registry[T]) of(req reconcile.Request, make func() T) T {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, found := r.byName[req]
	if !found {
		t = make()
		if r.byName == nil {
			r.byName = map[reconcile.Request]T{}
		}
		r.byName[req] = t
	}
	return t
}

// find gives what is remembered of an object, without beginning to.
func (r *registry[T]) find(req reconcile.Request) (T, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, found := r.byName[req]
	return t, found
}

// forget gives what was remembered of an object, for the last time.
func (r *registry[T]) forget(req reconcile.Request) (T, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, found := r.byName[req]
	delete(r.byName, req)
	return t, found
}

// call wakes an object after a while. Before the queue is there everything is
// going to be looked at anyway.
func (r *registry[T]) call(req reconcile.Request, after time.Duration) {
	r.mu.Lock()
	wake := r.wake
	r.mu.Unlock()
	if wake != nil {
		wake(req, after)
	}
}

// serve connects the queue that wakes objects; its delays are the one heap of
// timers.
func (r *registry[T]) serve(wake func(reconcile.Request, time.Duration)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wake = wake
}
