package controller

import (
	"context"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/internal/deliver"
)

// Plan computes what the next roll-out of a Kustomization would do. It only
// reads.
func (r *Kustomizations) Plan(ctx context.Context, name types.NamespacedName) (*kustomizev1.Kustomization, deliver.Preview, error) {
	obj := &kustomizev1.Kustomization{}
	if err := r.Client.Get(ctx, name, obj); err != nil {
		return nil, deliver.Preview{}, err
	}
	o, err := r.occasion(ctx, obj)
	if err != nil {
		return obj, deliver.Preview{}, err
	}
	preview, err := r.Engine.Plan(ctx, o)
	return obj, preview, err
}
