package wire

import (
	"context"
	"fmt"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/build"
	"github.com/sluice-dev/sluice/internal/cluster"
	"github.com/sluice-dev/sluice/internal/controller"
	"github.com/sluice-dev/sluice/internal/deliver"
	"github.com/sluice-dev/sluice/internal/source/flux"
)

// Plan computes what the controller would do next for a Kustomization, with
// the same code and the identity that the Kustomization is applied with. It
// reads, and sends dry-runs; it changes nothing.
func Plan(ctx context.Context, config *rest.Config, o Options, name types.NamespacedName) (*kustomizev1.Kustomization, deliver.Preview, error) {
	direct, err := client.New(config, client.Options{Scheme: Scheme()})
	if err != nil {
		return nil, deliver.Preview{}, fmt.Errorf("connecting to the cluster: %w", err)
	}
	p := &process{Options: o, config: config}
	policy, err := p.policy()
	if err != nil {
		return nil, deliver.Preview{}, err
	}
	options := p.clusters()
	options.NoWatches = true
	clusters := cluster.NewClusters(options)
	defer clusters.Close()
	r := &controller.Kustomizations{Client: direct, Shard: labels.Everything(), Access: o.Kustomize.access(), Log: o.Log}
	reads := &controller.Reads{Live: direct, Clusters: targets{clusters}, Access: r.Access}
	r.Engine = &deliver.Engine{
		Builds:  build.NewCache(0),
		Bundles: flux.New(flux.Options{Localhost: o.Kustomize.Localhost}),
		Values:  reads, Peers: reads, Targets: reads, Claims: r, Policy: policy,
	}
	return r.Plan(ctx, name)
}
