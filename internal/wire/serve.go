package wire

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/sluice-dev/sluice/internal/store"
)

// onLead runs something when the process leads.
type onLead func(context.Context) error

func (f onLead) Start(ctx context.Context) error { return f(ctx) }

// serve answers HTTP while the process leads.
func serve(mgr manager.Manager, l net.Listener, h http.Handler) error {
	if l == nil {
		return nil
	}
	return mgr.Add(&manager.Server{
		Name: l.Addr().String(), Listener: l, OnlyServeWhenLeader: true,
		Server: &http.Server{
			Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 90 * time.Second, WriteTimeout: 5 * time.Minute,
		},
	})
}

func collect(ctx context.Context, shelf *store.Store, log *slog.Logger) error {
	tick := time.NewTicker(10 * time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			if err := shelf.Collect(now); err != nil {
				log.Warn("unused content stays on disk; tried again in 10 minutes", "error", err)
			}
		}
	}
}
