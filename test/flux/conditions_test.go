package fluxtest

import (
	"fmt"
	"strings"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// condition never returns nil: what is not there has no status.
func condition(k *kustomizev1.Kustomization, kind string) metav1.Condition {
	if c := apimeta.FindStatusCondition(k.Status.Conditions, kind); c != nil {
		return *c
	}
	return metav1.Condition{}
}

func is(k *kustomizev1.Kustomization, kind string, status metav1.ConditionStatus) bool {
	return condition(k, kind).Status == status
}

// succeeded is a run that is over and went well (suite_test.go
// isReconcileSuccess).
func succeeded(k *kustomizev1.Kustomization) bool {
	ready := condition(k, meta.ReadyCondition)
	return ready.Status == metav1.ConditionTrue && ready.ObservedGeneration == k.Generation &&
		k.Status.ObservedGeneration == k.Generation && k.Status.LastAppliedRevision == k.Status.LastAttemptedRevision
}

// at is success with a revision.
func at(revision string) func(*kustomizev1.Kustomization) bool {
	return func(k *kustomizev1.Kustomization) bool {
		return succeeded(k) && k.Status.LastAppliedRevision == revision
	}
}

// failed is a run that is over and will be tried again (suite_test.go
// isReconcileFailure).
func failed(k *kustomizev1.Kustomization) bool {
	ready, again := condition(k, meta.ReadyCondition), condition(k, meta.ReconcilingCondition)
	token, asked := k.Annotations[meta.ReconcileRequestAnnotation]
	return (!asked || k.Status.LastHandledReconcileAt == token) && again.Status == metav1.ConditionTrue &&
		again.Reason == meta.ProgressingWithRetryReason && ready.Status == metav1.ConditionFalse && ready.ObservedGeneration == k.Generation
}

// failing is Ready=False for a reason, with words in the message; whether it is
// tried again does not matter.
func failing(reason string, words ...string) func(*kustomizev1.Kustomization) bool {
	return func(k *kustomizev1.Kustomization) bool {
		ready := condition(k, meta.ReadyCondition)
		return ready.Status == metav1.ConditionFalse && ready.Reason == reason && containsAll(ready.Message, words)
	}
}

// stalled is a failure that only a changed spec ends.
func stalled(reason string, words ...string) func(*kustomizev1.Kustomization) bool {
	return func(k *kustomizev1.Kustomization) bool {
		c := condition(k, meta.StalledCondition)
		return failing(reason, words...)(k) && c.Status == metav1.ConditionTrue && c.Reason == reason && containsAll(c.Message, words)
	}
}

// conforms checks the rules of a status between runs that Flux's checker has
// (fluxcd/pkg/runtime conditions/check fail.go).
func (w *world) conforms(k *kustomizev1.Kustomization) {
	w.Helper()
	ready := condition(k, meta.ReadyCondition)
	again, halted := condition(k, meta.ReconcilingCondition), condition(k, meta.StalledCondition)
	observed := k.Status.ObservedGeneration
	var broken []string
	rule := func(holds bool, text string) {
		if !holds {
			broken = append(broken, text)
		}
	}
	rule(ready.Status != "", "Ready is always there")
	rule(again.Status == "" || halted.Status == "", "Reconciling and Stalled exclude each other")
	rule(again.Status != metav1.ConditionTrue || ready.Status == metav1.ConditionFalse, "Reconciling is only beside Ready=False")
	rule(halted.Status != metav1.ConditionTrue || ready.Status == metav1.ConditionFalse, "Stalled is only beside Ready=False")
	rule(observed <= k.Generation, "the observed generation is no future one")
	if ready.Status == metav1.ConditionTrue {
		rule(observed == k.Generation, "Ready is of the current generation")
		for _, c := range k.Status.Conditions {
			rule(c.ObservedGeneration == observed, c.Type+" is of the generation of the status")
		}
	}
	if len(broken) > 0 {
		w.Errorf("rules that are broken:\n  %s\nby %s", strings.Join(broken, "\n  "), show(k))
	}
}

// progressing checks the rules of a status within a run.
func (w *world) progressing(k *kustomizev1.Kustomization) {
	w.Helper()
	ready := condition(k, meta.ReadyCondition)
	if ready.Status == "" || ready.Status == metav1.ConditionUnknown && !is(k, meta.ReconcilingCondition, metav1.ConditionTrue) ||
		is(k, meta.StalledCondition, metav1.ConditionTrue) || k.Status.ObservedGeneration > k.Generation {
		w.Errorf("within a run, the status is %s", show(k))
	}
}

func show(k *kustomizev1.Kustomization) string {
	text := fmt.Sprintf("generation %d, observed %d, attempted %s, applied %s", k.Generation, k.Status.ObservedGeneration,
		k.Status.LastAttemptedRevision, k.Status.LastAppliedRevision)
	for _, c := range k.Status.Conditions {
		text += fmt.Sprintf("\n  %s=%s (%d) %s: %s", c.Type, c.Status, c.ObservedGeneration, c.Reason, c.Message)
	}
	return text
}

// inventory lists the entries of a Kustomization: id and version.
func inventory(k *kustomizev1.Kustomization) map[string]string {
	entries := map[string]string{}
	if k.Status.Inventory != nil {
		for _, e := range k.Status.Inventory.Entries {
			entries[e.ID] = e.Version
		}
	}
	return entries
}

// Changes to Kustomizations that many tests make.

func prunes(k *kustomizev1.Kustomization) { k.Spec.Prune = true }

func waits(k *kustomizev1.Kustomization) { k.Spec.Wait = true }

// often runs as often as in Flux's tests.
func often(k *kustomizev1.Kustomization) { k.Spec.Interval.Duration = oftenRuns }

// anywhere leaves the namespaces that the files name.
func anywhere(k *kustomizev1.Kustomization) { k.Spec.TargetNamespace = "" }
