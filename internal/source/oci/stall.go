package oci

import (
	"context"
	"errors"
	"io"
	"time"
)

// errStalled is the cause when a download gave no byte for too long.
var errStalled = errors.New("no byte arrived in time")

// stallGuard ends a download that gives no byte for a while. A download has no
// bound as a whole: a large layer over a slow line is no failure.
type stallGuard struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	after  time.Duration
	timer  *time.Timer
}

func newStallGuard(ctx context.Context, after time.Duration) (*stallGuard, context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	g := &stallGuard{ctx: ctx, cancel: cancel, after: after}
	g.timer = time.AfterFunc(after, func() { cancel(errStalled) })
	return g, ctx
}

// explain replaces the bare "context canceled" by its cause and ends the guard.
func (g *stallGuard) explain(err error) error {
	g.timer.Stop()
	if cause := context.Cause(g.ctx); err != nil && cause != nil {
		err = cause
	}
	g.cancel(nil)
	return err
}

func (g *stallGuard) around(body io.ReadCloser, wrap func(error) error) io.ReadCloser {
	g.timer.Reset(g.after)
	return &guarded{guard: g, body: body, wrap: wrap}
}

type guarded struct {
	guard *stallGuard
	body  io.ReadCloser
	wrap  func(error) error
}

func (r *guarded) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	if n > 0 {
		r.guard.timer.Reset(r.guard.after)
	}
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	if cause := context.Cause(r.guard.ctx); cause != nil {
		err = cause
	}
	return n, r.wrap(err)
}

func (r *guarded) Close() error {
	r.guard.timer.Stop()
	err := r.body.Close()
	r.guard.cancel(nil)
	return err
}
