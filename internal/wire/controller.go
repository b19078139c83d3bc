package wire

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fluxcd/cli-utils/pkg/flowcontrol"
	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/sluice-dev/sluice/internal/store"
)

// setLogger: controller-runtime has one logger for the process, and no lock
// around setting it.
var setLogger sync.Once

// Controller runs until the context ends or leadership is lost.
func Controller(ctx context.Context, config *rest.Config, o Options) error {
	// Everything ends together, also when the manager ends by itself: a lost
	// lease, a port in use, CRDs that are missing.
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	setLogger.Do(func() { ctrl.SetLogger(logr.FromSlogHandler(o.Log.Handler())) })
	config = rest.CopyConfig(config)
	config.WarningHandler = rest.NoWarnings{} // about Flux's API, which is not ours to change
	// As in Flux: a server that is fair by itself needs no limit on our side
	// (fluxcd/pkg/runtime/client client.go).
	asking, done := context.WithTimeout(ctx, 5*time.Second)
	if fair, err := flowcontrol.IsEnabled(asking, config); err == nil && fair {
		config.QPS = -1
	}
	done()
	p, err := newProcess(config, o)
	if err != nil {
		return err
	}
	defer p.listeners.close()
	if slices.Contains(o.Controllers, "oci") {
		if err := p.sources(ctx); err != nil {
			return err
		}
	}
	if slices.Contains(o.Controllers, "kustomize") {
		if err := p.kustomizations(ctx); err != nil {
			return err
		}
	}
	err = errors.Join(
		serve(p.mgr, p.listeners.storage, p.shelf.Handler()),
		p.mgr.Add(onLead(func(ctx context.Context) error { return collect(ctx, p.shelf, o.Log) })),
		p.mgr.Add(onLead(func(context.Context) error {
			if o.Ready != nil {
				o.Ready(p.listeners.serving())
			}
			return nil
		})),
	)
	if err != nil {
		return err
	}
	var told []func()
	for _, t := range p.tellers {
		told = append(told, t.start(ctx))
	}
	err = p.mgr.Start(ctx)
	stop()
	for _, wait := range told {
		wait()
	}
	return err
}

// process is what all controllers of a process share.
type process struct {
	Options
	config    *rest.Config
	shard     labels.Selector
	configs   labels.Selector
	listeners listeners
	shelf     *store.Store
	mgr       ctrl.Manager
	tellers   []*teller
}

func newProcess(config *rest.Config, o Options) (*process, error) {
	p := &process{Options: o, config: config}
	var err error
	if p.shard, err = labels.Parse(o.Selector); err != nil {
		return nil, fmt.Errorf("--watch-label-selector: %w", err)
	}
	if p.configs, err = labels.Parse(o.Kustomize.ConfigsSelector); err != nil {
		return nil, fmt.Errorf("--watch-configs-label-selector: %w", err)
	}
	if o.Kustomize.Gates.NoConfigWatchers {
		p.configs = labels.Nothing()
	}
	if p.listeners, err = listen(o); err != nil {
		return nil, err
	}
	p.shelf, err = store.Open(o.StoragePath, store.Options{
		Address: advertised(o, p.listeners.storage), KeepFor: o.RetentionTTL, KeepRecords: o.RetentionRecords,
	})
	if err == nil {
		p.mgr, err = newManager(config, o, p.configs)
	}
	if err != nil {
		p.listeners.close()
	}
	return p, err
}

// teller makes what is told appear under the name of a controller of Flux.
func (p *process) teller(controllerName string) *teller {
	t := newTeller(p.mgr, p.Options, controllerName)
	p.tellers = append(p.tellers, t)
	return t
}
