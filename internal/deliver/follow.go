package deliver

import (
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
	r.source.Artifact, r.held = a, true
	r.wish.revision, r.wish.digest = a.Revision, a.Digest
	for name, peer := range peers {
		if peer != nil && sameSource(peer, r.object) {
			peers[name] = arrived(peer)
		}
	}
}

// arrived gives a dependency as it was when it was Ready last, if it is on its
// way to a still newer revision: it is Ready for moments only. One that failed
// on the way counts as what it is.
func arrived(peer *kustomizev1.Kustomization) *kustomizev1.Kustomization {
	c := apimeta.FindStatusCondition(peer.Status.Conditions, meta.ReadyCondition)
	if c == nil || c.Status != metav1.ConditionUnknown && c.Reason != meta.DependencyNotReadyReason {
		return peer
	}
	peer = peer.DeepCopy()
	apimeta.SetStatusCondition(&peer.Status.Conditions, metav1.Condition{
		Type: meta.ReadyCondition, Status: metav1.ConditionTrue, Reason: meta.ReconciliationSucceededReason,
		Message: "Applied revision: " + peer.Status.LastAppliedRevision, ObservedGeneration: peer.Generation,
	})
	return peer
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
