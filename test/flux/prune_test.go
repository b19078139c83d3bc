package fluxtest

import (
	"context"
	"testing"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const secretAndConfig = `
-- secret.yaml --
apiVersion: v1
kind: Secret
metadata: {name: $NAME}
stringData: {key: value}
-- config.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: $NAME, $KIND: {$POLICY}}
data: {key: value}
`

// policy is the pair of files with a policy on the ConfigMap.
func (w *world) policy(called, kind, policy string) map[string]string {
	return w.files(secretAndConfig, "$NAME", called, "$KIND", kind, "$POLICY", policy)
}

func (w *world) hasSecret(called string) bool { return w.has(&corev1.Secret{}, called) }
func (w *world) hasConfig(called string) bool { return w.has(&corev1.ConfigMap{}, called) }

// kustomization_prune_test.go Prune: what a new revision does not have any more
// is deleted, and what is there is deleted with the Kustomization; an object
// labelled prune=disabled outlives both.
func TestPrune(t *testing.T) {
	w := enter(t)
	w.publish("v1.0.0", w.policy("old", "labels", `kustomize.toolkit.fluxcd.io/prune: "disabled"`))
	w.kustomization(name, prunes, often)
	w.until(name, "at v1.0.0", at("v1.0.0"))
	if !w.hasSecret("old") || !w.hasConfig("old") {
		t.Fatal("the objects are not there")
	}
	w.publish("v2.0.0", w.policy("new", "labels", `kustomize.toolkit.fluxcd.io/prune: "disabled"`))
	w.until(name, "at v2.0.0", at("v2.0.0"))
	if !w.hasSecret("new") || w.hasSecret("old") || !w.hasConfig("old") {
		t.Errorf("new Secret: %v, old Secret: %v, old ConfigMap: %v", w.hasSecret("new"), w.hasSecret("old"), w.hasConfig("old"))
	}
	w.remove(name)
	if w.hasSecret("new") || !w.hasConfig("new") || !w.hasConfig("old") {
		t.Errorf("after the Kustomization, Secret: %v, ConfigMaps: %v, %v", w.hasSecret("new"), w.hasConfig("new"), w.hasConfig("old"))
	}
}

// kustomization_prune_test.go PruneFailedInventoryRetry: an object whose
// deletion was accepted leaves the inventory, even if a finalizer holds it; one
// whose deletion was rejected (PruneFailed) stays in it until a retry succeeds.
func TestPruneRetriesWhatWasRejected(t *testing.T) {
	w := enter(t)
	some := w.files("-- config.yaml --\n{apiVersion: v1, kind: ConfigMap, metadata: {name: $ID}}\n")
	none := w.files(emptyOnPurpose)
	w.publish("v1", some)
	w.kustomization(name, prunes, often)
	if k := w.until(name, "at v1", at("v1")); len(inventory(k)) != 1 {
		t.Fatalf("inventory: %v", inventory(k))
	}

	const hold = "test.finalizers.fluxcd.io/block"
	w.patch(&corev1.ConfigMap{}, w.id, `{"metadata":{"finalizers":["`+hold+`"]}}`)
	w.publish("v2", none)
	if k := w.until(name, "at v2", at("v2")); len(inventory(k)) != 0 {
		t.Errorf("what is being deleted is in the inventory: %v", inventory(k))
	}
	var cm corev1.ConfigMap
	if w.get(&cm, w.id); cm.DeletionTimestamp.IsZero() {
		t.Error("the object is not being deleted")
	}
	w.patch(&corev1.ConfigMap{}, w.id, `{"metadata":{"finalizers":null}}`)
	w.eventually("the object is gone", func() bool { return !w.hasConfig(w.id) })

	w.publish("v3", some)
	w.until(name, "at v3", at("v3"))
	allow := w.forbidDeletion()
	w.publish("v4", none)
	k := w.until(name, "failing to prune", failing("PruneFailed"))
	if len(inventory(k)) != 1 || !w.hasConfig(w.id) {
		t.Errorf("inventory: %v, object there: %v", inventory(k), w.hasConfig(w.id))
	}
	allow()
	k = w.until(name, "at v4", at("v4"))
	if len(inventory(k)) != 0 || w.hasConfig(w.id) {
		t.Errorf("inventory: %v, object there: %v", inventory(k), w.hasConfig(w.id))
	}
}

// forbidDeletion makes the API server reject every deletion of a ConfigMap in
// the test's namespace.
func (w *world) forbidDeletion() (allow func()) {
	w.Helper()
	policy := &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: w.id},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Delete},
					Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
				},
			}}},
			Validations: []admissionv1.Validation{{Expression: "false", Message: "not now"}},
		},
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: w.id},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: w.id, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
			MatchResources: &admissionv1.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: w.id}},
			},
		},
	}
	w.clusterWide(policy)
	w.clusterWide(binding)
	w.eventually("deletions are rejected", func() bool { return w.tryDeletion() != nil })
	return func() {
		w.must(w.client.Delete(w.Context(), binding))
		w.eventually("deletions are accepted", func() bool { return w.tryDeletion() == nil })
	}
}

func (w *world) tryDeletion() error {
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.id, Name: w.id}}
	return client.IgnoreNotFound(w.client.Delete(w.Context(), cm, client.DryRunAll))
}

// emptyOnPurpose says that there is nothing. Flux's tests publish an archive
// without files for that, which Sluice takes for a mistake: it prunes nothing
// then.
const emptyOnPurpose = `
-- kustomization.yaml --
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: []
`

// kustomization_prune_test.go PruneEmpty: a revision with no objects deletes all
// and has an empty inventory, as has a kustomization.yaml without resources;
// objects come back with the next revision; a suspended Kustomization can be
// deleted.
func TestPruneToNothing(t *testing.T) {
	w := enter(t)
	full := w.policy(w.id, "labels", "a: b")
	w.publish("v1.0.0", full)
	w.kustomization(name, prunes, waits, often)
	for _, step := range []struct {
		revision string
		files    map[string]string
		objects  int
	}{
		{"v1.0.0", full, 2},
		{"v2.0.0", w.files(emptyOnPurpose), 0},
		{"v3.0.0", w.files("-- kustomization.yaml --\n{apiVersion: kustomize.config.k8s.io/v1beta1, kind: Kustomization}\n"), 0},
		{"v4.0.0", full, 2},
	} {
		w.publish(step.revision, step.files)
		k := w.until(name, "at "+step.revision, at(step.revision))
		if got := len(inventory(k)); got != step.objects || w.hasSecret(w.id) != (step.objects > 0) {
			t.Errorf("%s: %d objects in the inventory, want %d; Secret there: %v", step.revision, got, step.objects, w.hasSecret(w.id))
		}
	}
	w.edit(name, func(k *kustomizev1.Kustomization) { k.Spec.Suspend = true })
	w.remove(name)
	if !w.hasSecret(w.id) {
		t.Error("a suspended Kustomization deletes objects")
	}
}

// kustomization_prune_test.go PruneSkipNotOwned: objects carry the name and
// namespace of their Kustomization as labels; an object whose labels name
// another owner is not deleted with the Kustomization.
func TestPruneLeavesWhatOthersOwn(t *testing.T) {
	w := enter(t)
	w.publish("v1.0.0", w.policy(w.id, "labels", "a: b"))
	w.kustomization(name, prunes)
	w.until(name, "at v1.0.0", at("v1.0.0"))
	var cm corev1.ConfigMap
	w.get(&cm, w.id)
	if cm.Labels["kustomize.toolkit.fluxcd.io/name"] != name || cm.Labels["kustomize.toolkit.fluxcd.io/namespace"] != w.id {
		t.Errorf("labels: %v", cm.Labels)
	}
	// Not while it is reconciled: an owner that looks takes its object back.
	w.edit(name, func(k *kustomizev1.Kustomization) { delete(k.Labels, shardLabel) })
	w.patch(&corev1.ConfigMap{}, w.id, `{"metadata":{"labels":{"kustomize.toolkit.fluxcd.io/name":"new-owner"}}}`)
	w.must(w.client.Delete(w.Context(), &kustomizev1.Kustomization{ObjectMeta: metav1.ObjectMeta{Namespace: w.id, Name: name}}))
	w.hand(name, w.shared)
	w.gone(name)
	if w.hasSecret(w.id) || !w.hasConfig(w.id) {
		t.Errorf("own Secret: %v, another's ConfigMap: %v", w.hasSecret(w.id), w.hasConfig(w.id))
	}
}

// patch changes an object of the test's namespace, as somebody with kubectl.
func (w *world) patch(o client.Object, called, merge string, options ...client.PatchOption) {
	w.Helper()
	o.SetNamespace(w.id)
	o.SetName(called)
	w.must(w.client.Patch(w.Context(), o, client.RawPatch("application/merge-patch+json", []byte(merge)), options...))
}

// clusterWide makes an object that goes with the test.
func (w *world) clusterWide(o client.Object) {
	w.Helper()
	w.create(o)
	w.Cleanup(func() {
		if err := w.client.Delete(context.Background(), o); err != nil && !apierrors.IsNotFound(err) {
			w.Error(err)
		}
	})
}
