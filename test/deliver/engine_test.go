package delivertest

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/labtest"
	"github.com/sluice-dev/sluice/internal/wire"
)

// engine is a running controller of the Kustomizations of one namespace.
type engine struct {
	cancel context.CancelFunc
	leads  chan struct{} // closed when it leads
	ended  chan struct{} // closed when it has ended
	err    error         // why; belongs to who saw ended

	mu     sync.Mutex
	events []event.Event
}

// run starts a controller with the defaults of the command line.
func (w *world) run(config *rest.Config, change ...func(*wire.Options)) *engine {
	w.Helper()
	e := w.start(config, change...)
	select {
	case <-e.leads:
	case <-e.ended:
		w.Fatalf("the controller did not start: %v", e.err)
	case <-time.After(labtest.Patience):
		w.Fatal("the controller does not lead in time")
	}
	return e
}

// start is run for a controller that may have to wait until it leads.
func (w *world) start(config *rest.Config, change ...func(*wire.Options)) *engine {
	w.Helper()
	e := &engine{leads: make(chan struct{}), ended: make(chan struct{})}
	o := defaults(w.T, w.namespace)
	o.Ready = func(wire.Serving) { close(e.leads) }
	o.Stream = e.note
	for _, f := range change {
		f(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	e.cancel = cancel
	go func() {
		defer close(e.ended)
		e.err = wire.Controller(ctx, config, o)
	}()
	w.Cleanup(e.stop)
	return e
}

// stop ends a controller, politely if it can still be.
func (e *engine) stop() {
	e.cancel()
	<-e.ended
}

func (e *engine) note(got event.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.events = append(e.events, got)
}

// told lists what happened so far.
func (e *engine) told() []event.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]event.Event(nil), e.events...)
}

// defaults are those of the flags of `sluice controller`, for one namespace.
func defaults(t *testing.T, namespace string) wire.Options {
	return wire.Options{
		Controllers: []string{"kustomize"}, Namespace: namespace, Concurrent: 4,
		StoragePath: t.TempDir(), StorageAddr: "127.0.0.1:0", RetentionTTL: time.Minute, RetentionRecords: 2,
		MaxArtifact: 10 << 20, MetricsAddr: "0", HealthAddr: "0",
		LeaseDuration: 35 * time.Second, RenewDeadline: 30 * time.Second, RetryTime: 5 * time.Second,
		MinRetry: 750 * time.Millisecond, MaxRetry: time.Minute,
		Kustomize: wire.KustomizeOptions{
			Concurrent: 16, ConcurrentSSA: 8, Recheck: 30 * time.Second, RequestTimeout: 30 * time.Second,
			ConfigsSelector: "reconcile.fluxcd.io/watch=Enabled", Gates: wire.DefaultGates,
		},
		Version: "test", Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}
