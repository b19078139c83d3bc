package wire

import (
	"context"
	"log/slog"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/notify"
)

// teller is the fan-out of notices.
type teller struct {
	log    *slog.Logger
	queues []*notify.Queue
}

func newTeller(mgr manager.Manager, o Options, controllerName string) *teller {
	t := &teller{log: o.Log}
	undelivered := func(n event.Notice, err error) {
		o.Log.Warn("a notice was not delivered", "object", n.Object.String(), "reason", n.Reason, "error", err)
	}
	//lint:ignore SA1019 core/v1 Events are what Flux 1.9 writes and `flux events` reads
	recorder := mgr.GetEventRecorderFor(controllerName)
	t.queues = append(t.queues, notify.NewQueue(notify.KubernetesEvents(recorder), undelivered))
	if o.EventsAddr != "" {
		poster := &notify.Poster{Address: o.EventsAddr, Controller: controllerName}
		t.queues = append(t.queues, notify.NewQueue(poster.Send, undelivered))
	}
	return t
}

// Tell implements controller.Teller.
func (t *teller) Tell(n event.Notice) {
	level := slog.LevelInfo
	if n.Severity == event.Error {
		level = slog.LevelError
	}
	t.log.Log(context.Background(), level, n.Message,
		"controllerKind", n.Object.Kind, "name", n.Object.Name, "namespace", n.Object.Namespace, "reason", n.Reason)
	for _, q := range t.queues {
		q.Tell(n)
	}
}

// flushTime is what a shutdown waits for notices to get out.
const flushTime = 5 * time.Second

// start delivers until the context ends; the function it returns waits until
// what was told before is out.
func (t *teller) start(ctx context.Context) (wait func()) {
	done := make(chan struct{}, len(t.queues))
	flush, cancel := context.WithCancel(context.WithoutCancel(ctx))
	for _, q := range t.queues {
		go func() {
			q.Run(ctx, flush)
			done <- struct{}{}
		}()
	}
	return func() {
		time.AfterFunc(flushTime, cancel)
		for range t.queues {
			<-done
		}
		cancel()
	}
}
