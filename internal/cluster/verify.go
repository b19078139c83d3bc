package cluster

import (
	"context"
	"time"
)

// verification is one list on behalf of all who want to be sure.
type verification struct {
	done chan struct{}
	err  error
}

// verified makes sure that a list was begun at or after a time, by one request
// for all who need it.
func (w *kindWatch) verified(ctx context.Context, since time.Time) error {
	for {
		v := w.verification(since)
		if v == nil {
			return nil
		}
		select {
		case <-v.done:
			if v.err != nil {
				return v.err
			}
		case <-w.c.ctx.Done():
			return w.c.ctx.Err()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// verification gives the running list, or starts one; nil if none is needed.
func (w *kindWatch) verification(since time.Time) *verification {
	w.mu.Lock()
	if !w.listed.Before(since) {
		w.mu.Unlock()
		return nil
	}
	v := w.running
	if v != nil {
		w.mu.Unlock()
		return v
	}
	v = &verification{done: make(chan struct{})}
	w.running = v
	w.mu.Unlock()
	w.c.spawn(func() { w.verify(v) })
	return v
}

// verify belongs to nobody in particular: who asked first may lose patience.
func (w *kindWatch) verify(v *verification) {
	_, v.err = w.feed.list(w.c.ctx)
	w.mu.Lock()
	w.running = nil
	w.mu.Unlock()
	close(v.done)
}
