package oci

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sluice-dev/sluice/internal/follow"
)

// look is one question to a registry, asked by at most one request at a time
// on behalf of all who want to know. The zero value is ready.
type look[T any] struct {
	mu       sync.Mutex
	running  *attempt[T]
	last     *attempt[T]
	failures int
	stale    time.Time // answers asked before this are worth nothing: a hint came
}

type attempt[T any] struct {
	follow.Seen[T]
	err     error
	retryAt time.Time
	done    chan struct{}
	cancel  context.CancelFunc
	waiting int
}

// get returns an answer that is fresh enough, waiting for a running request or
// starting one. A failure holds for everybody until its back-off is over.
func (l *look[T]) get(ctx context.Context, ask follow.Ask, b follow.Backoff, do func(context.Context) (T, error)) (follow.Seen[T], error) {
	for {
		l.mu.Lock()
		if l.stale.After(ask.NotBefore) {
			ask.NotBefore = l.stale
		}
		if a := l.last; a != nil {
			fresh := !a.At.Before(ask.NotBefore)
			resting := a.err != nil && time.Now().Before(a.retryAt) && !(ask.Now && !fresh) && !l.stale.After(a.At)
			if resting || a.err == nil && fresh {
				l.mu.Unlock()
				return a.Seen, a.err
			}
		}
		a := l.running
		if a == nil {
			a = l.start(ctx, ask, b, do)
		}
		a.waiting++
		l.mu.Unlock()

		select {
		case <-a.done:
			if errors.Is(a.err, context.Canceled) && ctx.Err() == nil {
				continue // given up by others just as we came
			}
			if a.err != nil || !a.At.Before(ask.NotBefore) {
				return a.Seen, a.err
			}
		case <-ctx.Done():
			l.leave(a)
			return follow.Seen[T]{}, ctx.Err()
		}
	}
}

// start runs the request apart from any caller's context: it belongs to all of
// them, and ends early only when the last has left.
func (l *look[T]) start(ctx context.Context, ask follow.Ask, b follow.Backoff, do func(context.Context) (T, error)) *attempt[T] {
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), ask.Timeout)
	a := &attempt[T]{
		Seen: follow.Seen[T]{At: time.Now(), Jitter: rand.Float64()*2 - 1},
		done: make(chan struct{}), cancel: cancel,
	}
	l.running = a
	go func() {
		defer cancel()
		value, err := do(own)
		l.mu.Lock()
		defer l.mu.Unlock()
		a.Value, a.err = value, err
		l.running = nil
		switch {
		case err == nil:
			l.failures = 0
			l.last = a
		case !errors.Is(err, context.Canceled):
			l.failures++
			a.retryAt = time.Now().Add(b.After(l.failures))
			var f *Failure
			if errors.As(err, &f) {
				if f.RetryAt.After(a.retryAt) {
					a.retryAt = f.RetryAt
				}
				f.RetryAt = a.retryAt
			}
			l.last = a
		}
		close(a.done)
	}()
	return a
}

func (l *look[T]) leave(a *attempt[T]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.waiting--; a.waiting == 0 {
		a.cancel()
	}
}

// hint makes every answer that was asked for before now too old.
func (l *look[T]) hint(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stale = now
}
