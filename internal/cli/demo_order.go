package cli

import (
	"fmt"
	"slices"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// order judges every change of a Kustomization when it happens: the API server
// tells changes of one kind in the order in which they were written. A roll-out
// begins when a revision is attempted for the first time; then every dependency
// must be Ready, and at the same revision if it has the same source.
type order struct {
	known map[types.NamespacedName]*kustomizev1.Kustomization
	// begun are the roll-outs that were seen, and wrong what was not in order.
	begun int
	wrong []string
}

func (o *order) see(k *kustomizev1.Kustomization) {
	if o.known == nil {
		o.known = map[types.NamespacedName]*kustomizev1.Kustomization{}
	}
	name := types.NamespacedName{Namespace: k.Namespace, Name: k.Name}
	before := o.known[name]
	o.known[name] = k
	revision := k.Status.LastAttemptedRevision
	if revision == "" || before != nil && before.Status.LastAttemptedRevision == revision {
		return
	}
	o.begun++
	for _, d := range k.Spec.DependsOn {
		peer := types.NamespacedName{Namespace: d.Namespace, Name: d.Name}
		if peer.Namespace == "" {
			peer.Namespace = k.Namespace
		}
		if why := o.behind(o.known[peer], k); why != "" {
			o.wrong = append(o.wrong, fmt.Sprintf("%s began %s while %s %s", k.Name, revision, peer.Name, why))
		}
	}
}

func (o *order) behind(d, k *kustomizev1.Kustomization) string {
	switch {
	case d == nil:
		return "was not there"
	case !isReady(d):
		return "was not Ready"
	case d.Spec.SourceRef == k.Spec.SourceRef && d.Namespace == k.Namespace && d.Status.LastAppliedRevision != k.Status.LastAttemptedRevision:
		return "was at " + d.Status.LastAppliedRevision
	}
	return ""
}

// violations are what was not in order in a cluster.
func (s *stage) violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.order.wrong)
}

func readyOf(k *kustomizev1.Kustomization) *metav1.Condition {
	if k == nil {
		return nil
	}
	return apimeta.FindStatusCondition(k.Status.Conditions, meta.ReadyCondition)
}

// isReady tells whether a Kustomization is Ready with the spec it has now.
func isReady(k *kustomizev1.Kustomization) bool {
	c := readyOf(k)
	return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == k.Generation
}

// says is the Ready condition in one line.
func says(k *kustomizev1.Kustomization) string {
	c := readyOf(k)
	if c == nil {
		return "says nothing yet"
	}
	return fmt.Sprintf("is Ready=%s, %s: %s", c.Status, c.Reason, c.Message)
}
