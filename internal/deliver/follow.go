package deliver

import (
	"slices"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// follow takes the revision that the dependencies have arrived at in place of
// the newest, which they may never have arrived at when it is replaced every
// few seconds. The order of the chain holds for the revision that is taken.
func (r *rollout) follow(peers map[types.NamespacedName]*kustomizev1.Kustomization) {
	revision := ""
	for _, peer := range peers {
		if peer == nil || !sameSource(peer, r.object) {
			continue
		}
		arrived := peer.Status.LastAppliedRevision
		if revision != "" && revision != arrived {
			return
		}
		revision = arrived
	}
	a := r.seen.of(revision)
	if a == nil || revision == r.object.Status.LastAppliedRevision {
		return
	}
	r.source.Artifact, r.followed = a, true
	r.wish.revision, r.wish.digest = a.Revision, a.Digest
}

// onItsWay tells whether a dependency was Ready with the revision that is
// followed, and has begun with a still newer one: it is Ready for moments only.
// One that failed on the way counts as what it is.
func (r *rollout) onItsWay(peer *kustomizev1.Kustomization) bool {
	if !r.followed || peer == nil || !sameSource(peer, r.object) || peer.Generation != peer.Status.ObservedGeneration || r.asksMore(peer) {
		return false
	}
	c := apimeta.FindStatusCondition(peer.Status.Conditions, meta.ReadyCondition)
	return c != nil && (c.Status == metav1.ConditionUnknown || c.Reason == meta.DependencyNotReadyReason)
}

// asksMore tells whether an expression says when a dependency is ready.
func (r *rollout) asksMore(peer *kustomizev1.Kustomization) bool {
	return slices.ContainsFunc(r.object.Spec.DependsOn, func(ref kustomizev1.DependencyReference) bool {
		return ref.ReadyExpr != "" && ref.Name == peer.Name && (ref.Namespace == peer.Namespace || ref.Namespace == "" && peer.Namespace == r.object.Namespace)
	})
}

func sameSource(a, b *kustomizev1.Kustomization) bool {
	x, y := a.Spec.SourceRef, b.Spec.SourceRef
	if x.Namespace == "" {
		x.Namespace = a.Namespace
	}
	if y.Namespace == "" {
		y.Namespace = b.Namespace
	}
	return x.Kind == y.Kind && x.Name == y.Name && x.Namespace == y.Namespace
}
