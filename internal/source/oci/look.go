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
	// Everybody waits as long as they want to, whoever began the request.
	ctx, cancel := context.WithTimeout(ctx, ask.Timeout)
	defer cancel()
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
			// A failure of a request that began too early says little to somebody
			// who has reason to believe that it is over.
			if !a.At.Before(ask.NotBefore) || a.err != nil && !ask.Now {
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
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(ask.Timeout, leastTimeout))
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
			l.fail(a, b)
		}
		close(a.done)
	}()
	return a
}

// leastTimeout bounds a shared request from below: one impatient source must
// not make it fail for all.
const leastTimeout = time.Minute

// fail records a failure and when the next try may be made. Impatient tries
// during a back-off do not prolong it, nor does a pause that the host asked
// for: no request was made at all.
func (l *look[T]) fail(a *attempt[T], b follow.Backoff) {
	var f *Failure
	known := errors.As(a.err, &f)
	if errors.Is(a.err, errPaused) && known {
		a.retryAt = f.RetryAt
		l.last = a
		return
	}
	if l.last == nil || l.last.err == nil || !a.At.Before(l.last.retryAt) {
		l.failures++
	}
	a.retryAt = time.Now().Add(b.After(max(1, l.failures)))
	if known {
		if f.RetryAt.After(a.retryAt) {
			a.retryAt = f.RetryAt
		}
		f.RetryAt = a.retryAt
	}
	l.last = a
}

// settled gives the last answer if it was a good one, however old.
func (l *look[T]) settled() (T, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == nil || l.last.err != nil {
		var none T
		return none, false
	}
	return l.last.Value, true
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
