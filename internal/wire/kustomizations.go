package wire

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-dev/sluice/internal/archive"
	"github.com/sluice-dev/sluice/internal/build"
	"github.com/sluice-dev/sluice/internal/cluster"
	"github.com/sluice-dev/sluice/internal/controller"
	"github.com/sluice-dev/sluice/internal/deliver"
	"github.com/sluice-dev/sluice/internal/plan"
	"github.com/sluice-dev/sluice/internal/source/flux"
)

// kustomizations adds the controller of Kustomization objects.
func (p *process) kustomizations(ctx context.Context) error {
	memory := p.bound()
	k := p.Kustomize
	reconciler := &controller.Kustomizations{
		Client: p.mgr.GetClient(), Shard: p.shard, Configs: p.configs, Lanes: k.Concurrent,
		Access: k.access(),
		Teller: p.teller(kustomizeController), NoSuccessEvents: k.Gates.NoSuccessEvents, Metrics: runMetrics{}, Stream: p.Stream, Log: p.Log,
	}
	options := p.clusters()
	options.Changed = func(_ string, owner plan.Owner) { reconciler.Woken(owner) }
	clusters := cluster.NewClusters(options)
	reads := &controller.Reads{Live: p.mgr.GetAPIReader(), Clusters: targets{clusters}, Access: reconciler.Access}
	policy, err := p.policy()
	if err != nil {
		return err
	}
	reconciler.Engine = &deliver.Engine{
		Builds: build.NewCache(memory / 8),
		Bundles: flux.New(flux.Options{
			Local: p.shelf.OpenArtifact, Memory: memory / 8, Localhost: k.Localhost,
			Limits: archive.Limits{Bytes: p.MaxArtifact, Entries: archive.DefaultLimits.Entries},
		}),
		Values: reads, Peers: reads, Targets: reads, Claims: reconciler, Policy: policy,
	}
	passes, end := context.WithCancel(ctx)
	if err := reconciler.Setup(passes, p.mgr, max(p.Concurrent, 1)); err != nil {
		end()
		return fmt.Errorf("setting up the controller of Kustomization objects: %w", err)
	}
	// Passes end when the lease is lost, and before it is given up: nobody else
	// begins before that.
	return p.mgr.Add(onLead(func(ctx context.Context) error {
		<-ctx.Done()
		end()
		reconciler.Wait()
		clusters.Close()
		return nil
	}))
}

func (k KustomizeOptions) access() controller.Access {
	return controller.Access{
		NoCrossNamespace: k.NoCrossNamespace, DefaultServiceAccount: k.DefaultServiceAccount, AllowExternalArtifacts: k.Gates.ExternalArtifacts,
	}
}

// clusters are the options of connections to clusters.
func (p *process) clusters() cluster.Options {
	k := p.Kustomize
	return cluster.Options{
		Base: p.config, UserAgent: "sluice/" + p.Version, OverrideManagers: k.Override, RequestTimeout: k.RequestTimeout,
		ConcurrentSSA: k.ConcurrentSSA, AllowExec: k.AllowExec, AllowInsecureTLS: k.AllowInsecureTLS,
	}
}

// bound is the memory that the process tries to stay below.
func (p *process) bound() int64 {
	memory := p.Memory
	if memory <= 0 {
		memory = 1 << 30
	}
	if debug.SetMemoryLimit(-1) > memory { // GOMEMLIMIT may say less
		debug.SetMemoryLimit(memory)
	}
	return min(memory, debug.SetMemoryLimit(-1))
}

func (p *process) policy() (deliver.Policy, error) {
	k := p.Kustomize
	kinds, err := stageKinds(k.StageKinds)
	spread := float64(p.JitterPercent) / 100
	return deliver.Policy{
		Strict: k.Gates.Strict, Additive: k.Gates.Additive, Supersede: k.Gates.Supersede, FailFast: !k.Gates.NoFailFast,
		Reverse: !k.DriftAtInterval, Recheck: k.Recheck,
		Spread: func(d time.Duration) time.Duration {
			return d + time.Duration(float64(d)*spread*(2*rand.Float64()-1))
		},
		Apply: deliver.ApplyPolicy{
			StageKinds: kinds, OverrideManagers: k.Override, MigrateAPIVersion: k.Gates.MigrateAPIVersion, Concurrent: k.ConcurrentSSA,
		},
	}, err
}

// stageKinds reads --custom-apply-stage-kinds: group/Kind, as Flux has it.
func stageKinds(texts []string) (map[schema.GroupKind]struct{}, error) {
	kinds := map[schema.GroupKind]struct{}{}
	for _, text := range texts {
		group, kind, found := strings.Cut(text, "/")
		if !found || kind == "" {
			return nil, fmt.Errorf("--custom-apply-stage-kinds: %q is not group/Kind", text)
		}
		kinds[schema.GroupKind{Group: group, Kind: kind}] = struct{}{}
	}
	return kinds, nil
}

// targets lets the controller connect without knowing the edge.
type targets struct{ clusters *cluster.Clusters }

func (t targets) Target(ctx context.Context, id controller.Identity) (deliver.Target, error) {
	return t.clusters.Target(ctx, cluster.Identity{
		KubeConfig: id.KubeConfig, KubeConfigID: id.Named, ServiceAccount: id.User, Owner: id.Owner,
	})
}
