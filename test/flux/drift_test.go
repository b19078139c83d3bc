package fluxtest

import (
	"testing"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func force(k *kustomizev1.Kustomization) { k.Spec.Force = true }

// checks adds a health check of an object of the test's namespace.
func checks(kind, called string) func(*kustomizev1.Kustomization) {
	return func(k *kustomizev1.Kustomization) {
		k.Spec.HealthChecks = append(k.Spec.HealthChecks, meta.NamespacedObjectKindReference{APIVersion: "v1", Kind: kind, Namespace: k.Namespace, Name: called})
	}
}

const twoKeys = `
-- config.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: $ID}
data: {managed-key: $VALUE, ignored-key: original}
`

// kustomization_drift_ignore_test.go: what spec.ignore names is set when the
// object is created, and left to others afterwards, also when another field of
// the object is applied; other fields are taken back.
func TestIgnoredDrift(t *testing.T) {
	w := enter(t)
	w.publish("v1.0.0", w.files(twoKeys, "$VALUE", "v1"))
	w.kustomization(name, often, func(k *kustomizev1.Kustomization) {
		k.Spec.Ignore = []kustomizev1.IgnoreRule{{Paths: []string{"/data/ignored-key"}}}
	})
	for _, step := range []struct{ revision, value, patch, ignored string }{
		{"v1.0.0", "v1", "", "original"},
		{"v2.0.0", "v2", `{"data":{"ignored-key":"theirs"}}`, "theirs"},
		{"v3.0.0", "v3", `{"data":{"managed-key":"theirs"}}`, "theirs"},
	} {
		if step.patch != "" {
			w.patch(&corev1.ConfigMap{}, w.id, step.patch)
			w.publish(step.revision, w.files(twoKeys, "$VALUE", step.value))
		}
		w.conforms(w.until(name, "at "+step.revision, at(step.revision)))
		w.equal(w.data(w.id), map[string]string{"managed-key": step.value, "ignored-key": step.ignored})
	}
}

// kustomization_disallowed_managers_test.go: a field that a manager of
// --override-manager added is removed, one that another manager added stays.
func TestDisallowedManagers(t *testing.T) {
	w := enter(t)
	w.publish("v1.0.0", w.files(oneConfig))
	w.kustomization(name, often, checks("ConfigMap", w.id))
	w.conforms(w.until(name, "at v1.0.0", at("v1.0.0")))
	w.patch(&corev1.ConfigMap{}, w.id, `{"data":{"good-key":"theirs"}}`, client.FieldOwner("good-name"))
	w.patch(&corev1.ConfigMap{}, w.id, `{"data":{"bad-key":"theirs"}}`, client.FieldOwner(overridden))
	w.request(name)
	w.eventually("the field of a disallowed manager is gone", func() bool { return w.data(w.id)["bad-key"] == "" })
	w.equal(w.data(w.id), map[string]string{"key": "value", "good-key": "theirs"})
}
