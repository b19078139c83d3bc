package controller

import (
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// latest bridges the time between a write of ours and the moment when the
// cache has it, so that no pass acts on a status that it has replaced itself.
type latest[T client.Object] struct {
	mu      sync.Mutex
	known   bool
	written T               // as we last wrote it
	stale   map[string]bool // resource versions that our writes replaced
}

// wrote remembers our own write until the cache has it.
func (l *latest[T]) wrote(base string, obj T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stale == nil {
		l.stale = map[string]bool{}
	}
	l.stale[base] = true
	l.written, l.known = obj.DeepCopyObject().(T), true
}

// freshest gives our own last write in place of what the cache held before it.
func (l *latest[T]) freshest(obj T) T {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known && l.stale[obj.GetResourceVersion()] {
		return l.written.DeepCopyObject().(T)
	}
	clear(l.stale)
	var none T
	l.written, l.known = none, false
	return obj
}
