package fluxtest

import (
	"testing"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const onlySecret = `
-- objects.yaml --
apiVersion: v1
kind: Secret
metadata: {name: $ID}
stringData: {key: value}
`

// kustomization_prune_test.go PruneExcludesSSAIgnore: an object on which
// somebody set ssa=Ignore in the cluster is deleted neither when a revision
// drops it nor with the Kustomization, and keeps the annotation.
func TestIgnoredObjectsAreNotPruned(t *testing.T) {
	w := enter(t)
	w.publish("v1.0.0", w.policy(w.id, "labels", "a: b"))
	w.kustomization(name, prunes, often)
	w.until(name, "at v1.0.0", at("v1.0.0"))
	w.patch(&corev1.ConfigMap{}, w.id, `{"metadata":{"annotations":{"kustomize.toolkit.fluxcd.io/ssa":"Ignore"}}}`)
	kept := func(when string, secret bool) {
		t.Helper()
		var cm corev1.ConfigMap
		if !w.has(&cm, w.id) || cm.Annotations["kustomize.toolkit.fluxcd.io/ssa"] != "Ignore" || w.hasSecret(w.id) != secret {
			t.Errorf("%s: ConfigMap %q with %v, Secret there: %v", when, cm.Name, cm.Annotations, w.hasSecret(w.id))
		}
	}
	w.publish("v2.0.0", w.files(onlySecret))
	w.until(name, "at v2.0.0", at("v2.0.0"))
	kept("dropped by a revision", true)
	w.remove(name)
	kept("after the Kustomization", false)
}

// kustomization_prune_test.go PruneIncludesSSAIfNotPresent: an object with
// ssa=IfNotPresent is created with the annotation, stays in the inventory while
// it is skipped, and is deleted when a revision drops it and with the
// Kustomization.
func TestObjectsAppliedOnceArePruned(t *testing.T) {
	w := enter(t)
	both := w.policy(w.id, "annotations", "kustomize.toolkit.fluxcd.io/ssa: IfNotPresent")
	w.publish("v1.0.0", both)
	w.kustomization(name, prunes)
	w.until(name, "at v1.0.0", at("v1.0.0"))
	var cm corev1.ConfigMap
	if w.get(&cm, w.id); cm.Annotations["kustomize.toolkit.fluxcd.io/ssa"] != "IfNotPresent" {
		t.Errorf("annotations: %v", cm.Annotations)
	}
	for _, step := range []struct {
		revision string
		files    map[string]string
		config   bool
	}{
		{"v1.0.1", both, true}, // skipped now
		{"v2.0.0", w.files(onlySecret), false},
		{"v3.0.0", both, true},
		{"v3.0.1", both, true},
	} {
		w.publish(step.revision, step.files)
		w.until(name, "at "+step.revision, at(step.revision))
		if w.hasConfig(w.id) != step.config || !w.hasSecret(w.id) {
			t.Errorf("%s: ConfigMap there: %v, Secret: %v", step.revision, w.hasConfig(w.id), w.hasSecret(w.id))
		}
	}
	w.remove(name)
	if w.hasConfig(w.id) || w.hasSecret(w.id) {
		t.Errorf("after the Kustomization, ConfigMap: %v, Secret: %v", w.hasConfig(w.id), w.hasSecret(w.id))
	}
}

// kustomization_deletion_policy_test.go: whether objects go with their
// Kustomization is what deletionPolicy says, and MirrorPrune is what prune says.
func TestDeletionPolicy(t *testing.T) {
	for _, tt := range []struct {
		policy string
		prune  bool
		kept   bool
	}{
		{kustomizev1.DeletionPolicyDelete, false, false},
		{kustomizev1.DeletionPolicyWaitForTermination, false, false},
		{kustomizev1.DeletionPolicyMirrorPrune, true, false},
		{kustomizev1.DeletionPolicyOrphan, true, true},
		{kustomizev1.DeletionPolicyMirrorPrune, false, true},
	} {
		t.Run(tt.policy, func(t *testing.T) {
			w := enter(t)
			w.publish("v1.0.0", w.files(onlySecret))
			w.kustomization(name, func(k *kustomizev1.Kustomization) {
				k.Spec.Prune, k.Spec.DeletionPolicy = tt.prune, tt.policy
				k.Spec.Timeout = &metav1.Duration{Duration: 5 * time.Second}
			})
			w.until(name, "at v1.0.0", at("v1.0.0"))
			if !w.hasSecret(w.id) {
				t.Fatal("the object is not there")
			}
			w.remove(name)
			if got := w.hasSecret(w.id); got != tt.kept {
				t.Errorf("prune %v: the object is there: %v, want %v", tt.prune, got, tt.kept)
			}
		})
	}
}
