package fluxtest

import (
	"slices"
	"testing"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const customNamespace = `
-- crd.yaml --
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: namespaces.$GROUP}
spec:
  group: $GROUP
  scope: Namespaced
  names: {kind: Namespace, listKind: NamespaceList, plural: namespaces, singular: namespace}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {type: {type: string}}}}}}}]
-- custom.yaml --
apiVersion: $GROUP/v1
kind: Namespace
metadata: {name: $ID, namespace: $ID}
spec: {type: "Integration"}
`

// kustomization_controller_test.go StagedApply: a definition and an object of it
// in one revision, with a kind that has the name of a kind of another stage. All
// goes with the Kustomization.
func TestStages(t *testing.T) {
	w := enter(t)
	group := w.id + ".example.com"
	w.publish("main/1", w.files(customNamespace, "$GROUP", group))
	w.kustomization(name, anywhere, prunes)
	w.until(name, "at main/1", at("main/1"))
	if !w.has(custom(group, "v1", "Namespace"), w.id) {
		t.Error("the object is not there")
	}
	w.remove(name)
}

func custom(group, version, kind string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion(group + "/" + version)
	u.SetKind(kind)
	return u
}

const twoVersions = `
-- crd.yaml --
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: policies.$GROUP}
spec:
  group: $GROUP
  scope: Cluster
  names: {kind: Policy, listKind: PolicyList, plural: policies, singular: policy}
  versions:
  - {name: v2, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {schedule: {type: string}}}}}}}
  - {name: v2beta1, served: true, storage: false, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {schedule: {type: string}}}}}}}
-- policy.yaml --
apiVersion: $GROUP/v2
kind: Policy
metadata: {name: $ID}
spec: {schedule: "*/5 * * * *"}
`

// kustomization_wait_test.go RESTMapper: a kind that comes into being with the
// revision is found in the version that the object has, its health is waited
// for, and with the Kustomization both the object and the definition go.
func TestNewKind(t *testing.T) {
	w := enter(t)
	group := w.id + ".example.com"
	w.publish("main/1", w.files(twoVersions, "$GROUP", group))
	w.kustomization(name, anywhere, prunes, waits)
	k := w.until(name, "at main/1", at("main/1"))
	w.equal(inventory(k), map[string]string{
		"_policies." + group + "_apiextensions.k8s.io_CustomResourceDefinition": "v1",
		"_" + w.id + "_" + group + "_Policy":                                    "v2",
	})
	w.must(w.client.Get(w.Context(), client.ObjectKey{Name: w.id}, custom(group, "v2", "Policy")))
	w.remove(name)
	w.eventually("the definition is gone", func() bool {
		err := w.client.Get(w.Context(), client.ObjectKey{Name: "policies." + group}, custom("apiextensions.k8s.io", "v1", "CustomResourceDefinition"))
		return client.IgnoreNotFound(err) == nil && err != nil
	})
}

// kustomization_controller_test.go deleteBeforeFinalizer: a Kustomization that is
// being deleted before it was ever seen gets no finalizer (the API server would
// refuse it) and does not keep the controller busy.
func TestDeletedBeforeItWasSeen(t *testing.T) {
	w := enter(t)
	w.kustomization(name, prunes, func(k *kustomizev1.Kustomization) {
		delete(k.Labels, shardLabel)
		k.Finalizers = []string{"example.com/test"}
		k.Spec.SourceRef = kustomizev1.CrossNamespaceSourceReference{Kind: "Bucket", Name: "foo"}
	})
	w.must(w.client.Delete(w.Context(), &kustomizev1.Kustomization{ObjectMeta: metav1.ObjectMeta{Namespace: w.id, Name: name}}))
	w.edit(name, func(k *kustomizev1.Kustomization) { metav1.SetMetaDataLabel(&k.ObjectMeta, shardLabel, w.shared.shard) })
	// A second one, which the controller sees later, tells that it goes on.
	w.publish("v1", w.files(oneConfig))
	w.kustomization("next")
	w.until("next", "at v1", at("v1"))
	var k kustomizev1.Kustomization
	if w.get(&k, name); slices.Contains(k.Finalizers, kustomizev1.KustomizationFinalizer) {
		t.Errorf("finalizers: %v", k.Finalizers)
	}
	w.edit(name, func(k *kustomizev1.Kustomization) { k.Finalizers = nil })
	w.gone(name)
}
