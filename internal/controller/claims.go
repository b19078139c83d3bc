package controller

import (
	"context"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sluice-dev/sluice/internal/deliver"
	"github.com/sluice-dev/sluice/internal/inventory"
	"github.com/sluice-dev/sluice/internal/object"
)

// Claimed implements deliver.Claims: it asks what every other live
// Kustomization of the same cluster wants. One that was not built since the
// newest publication is built for the question.
func (r *Kustomizations) Claimed(ctx context.Context, ks *kustomizev1.Kustomization, ids []object.ID) (map[object.ID]string, error) {
	claimed := map[object.ID]string{}
	if len(ids) == 0 {
		return claimed, nil
	}
	var list kustomizev1.KustomizationList
	if err := r.Client.List(ctx, &list); err != nil {
		return nil, err
	}
	for i := range list.Items {
		other := &list.Items[i]
		if other.UID == ks.UID || !other.DeletionTimestamp.IsZero() || other.Spec.Suspend || clusterOf(other) != clusterOf(ks) {
			continue
		}
		wanted, err := r.wantedBy(ctx, other)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			if wanted(id) {
				claimed[id] = client.ObjectKeyFromObject(other).String()
			}
		}
	}
	return claimed, nil
}

// clusterOf tells the clusters of Kustomizations apart.
func clusterOf(ks *kustomizev1.Kustomization) string {
	if k := ks.Spec.KubeConfig; k != nil && k.SecretRef != nil {
		return ks.Namespace + "/" + k.SecretRef.Name + "/" + k.SecretRef.Key
	}
	return ""
}

func (r *Kustomizations) wantedBy(ctx context.Context, ks *kustomizev1.Kustomization) (func(object.ID) bool, error) {
	o, err := r.occasion(ctx, ks)
	if err != nil {
		return nil, err
	}
	if t, found := r.all.find(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(ks)}); found {
		if w := t.delivery.Wanted(); w != nil && w.For(o) {
			return w.Has, nil
		}
	}
	if o.Source.Artifact != nil {
		if w, err := r.Engine.Wants(ctx, o); err == nil {
			return w.Has, nil
		}
	}
	// It cannot be built now: what it owns is what it wanted last.
	own, err := inventory.Read(ks.Status.Inventory)
	if err != nil {
		return func(object.ID) bool { return false }, nil
	}
	return own.Has, nil
}

var _ deliver.Claims = (*Kustomizations)(nil)
