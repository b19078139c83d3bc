package fluxtest

import (
	"strings"
	"testing"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func substitutes(p kustomizev1.PostBuild) func(*kustomizev1.Kustomization) {
	return func(k *kustomizev1.Kustomization) { k.Spec.PostBuild = &p }
}

func (w *world) createValues(secret bool, called string, values map[string]string) client.Object {
	w.Helper()
	about := metav1.ObjectMeta{Namespace: w.id, Name: called}
	var o client.Object = &corev1.ConfigMap{ObjectMeta: about, Data: values}
	if secret {
		o = &corev1.Secret{ObjectMeta: about, StringData: values}
	}
	w.create(o)
	return o
}

// labels of the ServiceAccount that the tests write variables into.
func (w *world) labels() map[string]string {
	w.Helper()
	var sa corev1.ServiceAccount
	w.get(&sa, w.id)
	return sa.Labels
}

// kustomization_varsub_test.go Varsub: inline variables, a ConfigMap and a
// Secret are substituted, a later source over an earlier one, without the line
// breaks of their values; defaults hold where nothing is set; Ready and Healthy
// are True; the owner labels are there.
func TestSubstitution(t *testing.T) {
	w := enter(t)
	w.publish("v1.0.0/abc", w.files(`
-- service-account.yaml --
apiVersion: v1
kind: ServiceAccount
metadata:
  name: $ID
  namespace: $ID
  labels:
    environment: ${env:=dev}
    region: "${_Region}"
    zone: "${zone}"
-- secret.yaml --
apiVersion: v1
kind: Secret
metadata:
  name: $ID
  namespace: $ID
stringData:
  zone: ${zone}
`))
	w.createValues(false, "config", map[string]string{"zone": "\naz-1a\n"})
	w.createValues(true, "secret", map[string]string{"zone": "\naz-1b\n"})
	w.kustomization(name, anywhere, prunes, substitutes(kustomizev1.PostBuild{
		Substitute:     map[string]string{"_Region": "eu-central-1"},
		SubstituteFrom: []kustomizev1.SubstituteReference{{Kind: "ConfigMap", Name: "config"}, {Kind: "Secret", Name: "secret"}},
	}), func(k *kustomizev1.Kustomization) {
		k.Spec.HealthChecks = []meta.NamespacedObjectKindReference{{APIVersion: "v1", Kind: "ServiceAccount", Name: w.id, Namespace: w.id}}
	})
	k := w.until(name, "at v1.0.0/abc", at("v1.0.0/abc"))
	if !is(k, meta.HealthyCondition, metav1.ConditionTrue) || condition(k, meta.ReadyCondition).Reason != meta.ReconciliationSucceededReason {
		t.Errorf("it is %s", show(k))
	}
	w.equal(w.labels(), map[string]string{
		"environment": "dev", "region": "eu-central-1", "zone": "az-1b",
		"kustomize.toolkit.fluxcd.io/name": name, "kustomize.toolkit.fluxcd.io/namespace": w.id,
	})
	var secret corev1.Secret
	if w.get(&secret, w.id); string(secret.Data["zone"]) != "az-1b" {
		t.Errorf("the Secret has zone %q", secret.Data["zone"])
	}
}

const colorAndShape = `
-- service-account.yaml --
apiVersion: v1
kind: ServiceAccount
metadata:
  name: $ID
  namespace: $ID
  labels:
    color: "${color:=blue}"
    shape: "${shape:=square}"
`

// kustomization_varsub_test.go VarsubOptional: optional sources are used while
// they exist, and defaults when they are gone.
func TestOptionalSubstitution(t *testing.T) {
	w := enter(t)
	w.publish("v1", w.files(colorAndShape))
	config := w.createValues(false, "config", map[string]string{"color": "\nred\n"})
	secret := w.createValues(true, "secret", map[string]string{"shape": "\ntriangle\n"})
	w.kustomization(name, anywhere, prunes, substitutes(kustomizev1.PostBuild{
		Substitute:     map[string]string{"var_substitution_enabled": "true"},
		SubstituteFrom: []kustomizev1.SubstituteReference{{Kind: "ConfigMap", Name: "config", Optional: true}, {Kind: "Secret", Name: "secret", Optional: true}},
	}))
	w.until(name, "at v1", at("v1"))
	if l := w.labels(); l["color"] != "red" || l["shape"] != "triangle" {
		t.Errorf("labels: %v", l)
	}
	w.must(w.client.Delete(w.Context(), config))
	w.must(w.client.Delete(w.Context(), secret))
	token := w.request(name)
	w.until(name, "done with the request", func(k *kustomizev1.Kustomization) bool {
		return k.Status.LastHandledReconcileAt == token && succeeded(k)
	})
	if l := w.labels(); l["color"] != "blue" || l["shape"] != "square" {
		t.Errorf("without the sources, labels: %v", l)
	}
}

// kustomization_varsub_test.go VarsubAlways: without any variable nothing is
// substituted, and the API server refuses the expressions (ReconciliationFailed);
// with the strategy Always defaults are.
func TestSubstitutionStrategy(t *testing.T) {
	w := enter(t)
	w.publish("v1", w.files(colorAndShape))
	w.kustomization("with-variables", prunes, waits, substitutes(kustomizev1.PostBuild{}))
	w.until("with-variables", "failing", failing(meta.ReconciliationFailedReason))
	w.remove("with-variables")
	w.kustomization("always", anywhere, prunes, substitutes(kustomizev1.PostBuild{SubstituteStrategy: kustomizev1.SubstituteStrategyAlways}))
	w.until("always", "at v1", at("v1"))
	if l := w.labels(); l["color"] != "blue" || l["shape"] != "square" {
		t.Errorf("labels: %v", l)
	}
}

// kustomization_varsub_test.go VarsubNumberBool: what looks like a number or a
// boolean can be made text by a tag or by quotes that are variables themselves;
// an escaped expression loses one dollar sign; a backslash stays.
func TestSubstitutionOfNumbersAndBooleans(t *testing.T) {
	w := enter(t)
	w.publish("v1", w.files(`
-- objects.yaml --
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata:
  name: $ID
  namespace: $ID
  labels:
    id: ${numberStr}
    enabled: ${booleanStr}
  annotations:
    id: ${q}${number}${q}
    enabled: ${q}${boolean}${q}
spec:
  interval: ${number}m
  url: https://example.com/repo
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: $ID
  namespace: $ID
data:
  id: ${q}${number}${q}
  text: |
    escaped: $${var}

    \?
`))
	w.kustomization(name, anywhere, prunes, substitutes(kustomizev1.PostBuild{Substitute: map[string]string{
		"q": `"`, "number": "123", "numberStr": "!!str 123", "boolean": "true", "booleanStr": "!!str true",
	}}))
	w.until(name, "at v1", at("v1"))
	var repo sourcev1.GitRepository
	w.get(&repo, w.id)
	for _, in := range []map[string]string{repo.Labels, repo.Annotations} {
		if in["id"] != "123" || in["enabled"] != "true" {
			t.Errorf("labels or annotations: %v", in)
		}
	}
	data := w.data(w.id)
	if data["id"] != "123" || !strings.Contains(data["text"], " ${var}") || !strings.Contains(data["text"], `\?`) {
		t.Errorf("data: %q", data)
	}
}

// kustomization_varsub_test.go VarsubStrict: a variable without a value and a
// default fails the build, and the message says "variable not set".
func TestStrictSubstitution(t *testing.T) {
	w := enter(t)
	w.publish("v1", w.files(`
-- service-account.yaml --
apiVersion: v1
kind: ServiceAccount
metadata:
  name: $ID
  namespace: $ID
  labels:
    default: ${default:=test}
    missing: ${missing}
`))
	w.kustomization(name, anywhere, prunes, waits, substitutes(kustomizev1.PostBuild{Substitute: map[string]string{"test": "test"}}))
	w.until(name, "failing", failing(meta.BuildFailedReason, "variable not set"))
}

// kustomization_substitute_redact_test.go: a value out of a Secret that the API
// server quotes in an error is masked in the condition, and in no Event.
func TestSecretValuesAreMasked(t *testing.T) {
	w := enter(t)
	value := "SYNTHETIC-PLACEHOLDER-" + strings.Repeat("x", 61) // too long for a label
	w.createValues(true, "secret", map[string]string{"TOKEN": value})
	w.publish("v1", w.files(`
-- config.yaml --
apiVersion: v1
kind: ConfigMap
metadata:
  name: $ID
  namespace: $ID
  labels:
    injected: "${TOKEN}"
`))
	w.kustomization(name, anywhere, prunes, substitutes(kustomizev1.PostBuild{SubstituteFrom: []kustomizev1.SubstituteReference{{Kind: "Secret", Name: "secret"}}}))
	k := w.until(name, "failing", failed)
	if m := condition(k, meta.ReadyCondition).Message; strings.Contains(m, value) || !strings.Contains(m, "*****") {
		t.Errorf("Ready says %q", m)
	}
	w.event(name, about{kind: "Warning"})
	for _, e := range w.events(name) {
		if strings.Contains(e.Message, value) {
			t.Errorf("an Event says %q", e.Message)
		}
	}
}
