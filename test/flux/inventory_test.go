package fluxtest

import (
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"

	"github.com/google/go-cmp/cmp"
)

const configWithSecret = `
-- objects.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: $NAME}
data: {key: $ID}
---
apiVersion: v1
kind: Secret
metadata: {name: $NAME}
stringData: {key: $ID}
`

func (w *world) equal(got, want any) {
	w.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		w.Errorf("(-want +got)\n%s", diff)
	}
}

// kustomization_inventory_test.go: the inventory lists namespace, name, group,
// kind and version of each object. An object with reconcile=disabled keeps what
// others changed, until it is enabled again. Renamed objects take the places of
// the old ones; of these one that is disabled is not deleted.
func TestInventory(t *testing.T) {
	w := enter(t)
	w.publish("v1.0.0", w.files(configWithSecret, "$NAME", w.id))
	w.kustomization(name, prunes, waits, timeout(time.Second))
	entries := func(called string) map[string]string {
		return map[string]string{w.id + "_" + called + "__Secret": "v1", w.id + "_" + called + "__ConfigMap": "v1"}
	}
	w.equal(inventory(w.until(name, "at v1.0.0", at("v1.0.0"))), entries(w.id))
	var secret corev1.Secret
	w.get(&secret, w.id)
	if string(secret.Data["key"]) != w.id || w.data(w.id)["key"] != w.id {
		t.Errorf("Secret: %s, ConfigMap: %v", secret.Data["key"], w.data(w.id))
	}

	reconcile := func(value, data string) {
		t.Helper()
		w.patch(&corev1.ConfigMap{}, w.id, `{"metadata":{"annotations":{"kustomize.toolkit.fluxcd.io/reconcile":"`+value+`"}}`+data+`}`)
	}
	for _, step := range []struct{ revision, reconcile, data, want string }{
		{"v1.0.0-1", "disabled", `,"data":{"key":"test"}`, "test"},
		{"v1.0.0-2", "enabled", "", w.id},
	} {
		reconcile(step.reconcile, step.data)
		w.publish(step.revision, w.files(configWithSecret, "$NAME", w.id))
		w.until(name, "at "+step.revision, at(step.revision))
		if got := w.data(w.id)["key"]; got != step.want {
			t.Errorf("%s: the ConfigMap has %q, want %q", step.reconcile, got, step.want)
		}
	}

	reconcile("disabled", "")
	w.publish("v1.0.0-3", w.files(configWithSecret, "$NAME", "renamed"))
	w.equal(inventory(w.until(name, "at v1.0.0-3", at("v1.0.0-3"))), entries("renamed"))
	if w.hasSecret(w.id) || w.data(w.id)["key"] != w.id {
		t.Errorf("old Secret: %v, disabled ConfigMap: %v", w.hasSecret(w.id), w.data(w.id))
	}
}

const immutableSecret = `
-- secret.yaml --
apiVersion: v1
kind: Secret
metadata: {name: $ID}
immutable: true
stringData: {key: $VALUE}
`

// kustomization_force_test.go: a change of an immutable field fails, with a
// Warning that says "field is immutable"; with force the object is replaced, and
// Healthy is True.
func TestForce(t *testing.T) {
	w := enter(t)
	w.publish("v1.0.0", w.files(immutableSecret, "$VALUE", "one"))
	w.kustomization(name, often, checks("Secret", w.id))
	w.conforms(w.until(name, "at v1.0.0", at("v1.0.0")))
	if !w.hasSecret(w.id) {
		t.Error("the object is not there")
	}

	w.publish("v2.0.0", w.files(immutableSecret, "$VALUE", "two"))
	w.conforms(w.until(name, "failing", failed))
	w.event(name, about{kind: "Warning", text: "field is immutable", revision: "v2.0.0"})

	w.publish("v3.0.0", w.files(immutableSecret, "$VALUE", "three"))
	w.edit(name, force)
	k := w.until(name, "at v3.0.0", at("v3.0.0"))
	w.conforms(k)
	var secret corev1.Secret
	w.get(&secret, w.id)
	if !is(k, meta.HealthyCondition, "True") || string(secret.Data["key"]) != "three" {
		t.Errorf("key %q, and it is %s", secret.Data["key"], show(k))
	}
}
