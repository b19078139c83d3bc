package lab_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

var crds = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// define creates a CRD that takes any fields, and returns where its objects are.
func (w *world) define(group, kind string, statusSubresource bool) schema.GroupVersionResource {
	w.Helper()
	plural := strings.ToLower(kind) + "s"
	version := map[string]any{"name": "v1", "served": true, "storage": true,
		"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}
	if statusSubresource {
		version["subresources"] = map[string]any{"status": map[string]any{}}
	}
	crd := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": plural + "." + group},
		"spec": map[string]any{"group": group, "scope": "Namespaced", "versions": []any{version},
			"names": map[string]any{"plural": plural, "singular": strings.ToLower(kind), "kind": kind, "listKind": kind + "List"}},
	}}
	_, err := w.dynamic.Resource(crds).Create(w.Context(), crd, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		w.must(err)
		w.Cleanup(func() { w.dynamic.Resource(crds).Delete(context.Background(), crd.GetName(), metav1.DeleteOptions{}) })
	}
	w.eventually("an established CRD", func() string {
		live, err := w.dynamic.Resource(crds).Get(w.Context(), crd.GetName(), metav1.GetOptions{})
		w.must(err)
		conditions, _, _ := unstructured.NestedSlice(live.Object, "status", "conditions")
		for _, item := range conditions {
			if c := item.(map[string]any); c["type"] == "Established" && c["status"] == "True" {
				return ""
			}
		}
		return fmt.Sprint(conditions)
	})
	return schema.GroupVersionResource{Group: group, Version: "v1", Resource: plural}
}

func (w *world) create(resource schema.GroupVersionResource, kind, name string, annotations map[string]string) {
	w.Helper()
	object := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"size": int64(1)}}}
	object.SetAPIVersion(resource.GroupVersion().String())
	object.SetKind(kind)
	object.SetName(name)
	object.SetAnnotations(annotations)
	w.eventually("creating "+name, func() string { // a CRD may be established a moment before it is served
		_, err := w.dynamic.Resource(resource).Namespace(w.namespace).Create(w.Context(), object, metav1.CreateOptions{})
		if err != nil {
			return err.Error()
		}
		return ""
	})
}

func (w *world) status(resource schema.GroupVersionResource, name string) map[string]any {
	w.Helper()
	object, err := w.dynamic.Resource(resource).Namespace(w.namespace).Get(w.Context(), name, metav1.GetOptions{})
	w.must(err)
	status, _, _ := unstructured.NestedMap(object.Object, "status")
	return status
}

func (w *world) statusBecomes(resource schema.GroupVersionResource, name string, want map[string]any) {
	w.Helper()
	w.eventually(fmt.Sprintf("status %v of %s", want, name), func() string {
		status := w.status(resource, name)
		for field, value := range want {
			if status[field] != value {
				return fmt.Sprint(status)
			}
		}
		return ""
	})
}

func (w *world) rules(name, yaml string) {
	w.Helper()
	_, err := w.client.CoreV1().ConfigMaps(w.namespace).Create(w.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"lab.sluice.dev/status-rules": "true"}},
		Data:       map[string]string{"rules.yaml": yaml}}, metav1.CreateOptions{})
	w.must(err)
}

func TestCustomResourceGetsStatusByRule(t *testing.T) {
	for _, tc := range []struct {
		name        string
		subresource bool
	}{{"with status subresource", true}, {"without", false}} {
		t.Run(tc.name, func(t *testing.T) {
			w := enter(t)
			group := unique("lab") + ".example.com"
			w.rules("rules", fmt.Sprintf(`
- group: %[1]s
  version: v1
  kind: Database
  match: {labels: {tier: gold}}
  steps:
  - status: {phase: Golden}
- group: %[1]s
  kind: Database
  steps:
  - after: 100ms
    status: {phase: Creating}
  - after: 500ms
    status: {phase: Ready, observedGeneration: $generation}
`, group))
			databases := w.define(group, "Database", tc.subresource)
			w.create(databases, "Database", "db", nil)
			w.create(databases, "Database", "stuck", map[string]string{behavior: "hang"})
			w.create(databases, "Database", "broken", map[string]string{behavior: "fail"})
			w.create(databases, "Database", "odd", map[string]string{behavior: "crash-loop"})

			w.statusBecomes(databases, "db", map[string]any{"phase": "Ready"})
			w.statusBecomes(databases, "stuck", map[string]any{"phase": "Creating"})
			w.eventually("a failed object", func() string {
				conditions, _ := w.status(databases, "broken")["conditions"].([]any)
				for _, item := range conditions {
					if c := item.(map[string]any); c["type"] == "Ready" && c["status"] == "False" {
						return ""
					}
				}
				return fmt.Sprint(conditions)
			})
			w.warning("odd", `"crash-loop"`, "hang, fail")
			w.statusBecomes(databases, "odd", map[string]any{"phase": "Ready"})

			patch := func(name, body string) {
				_, err := w.dynamic.Resource(databases).Namespace(w.namespace).Patch(w.Context(), name, types.MergePatchType, []byte(body), metav1.PatchOptions{})
				w.must(err)
			}
			if tc.subresource {
				w.statusBecomes(databases, "db", map[string]any{"observedGeneration": int64(1)})
				patch("db", `{"spec":{"size":2}}`)
				w.statusBecomes(databases, "db", map[string]any{"phase": "Ready", "observedGeneration": int64(2)})
			}
			w.stays("an object that hangs", func() string {
				if phase := w.status(databases, "stuck")["phase"]; phase != "Creating" {
					return fmt.Sprintf("phase %v", phase)
				}
				return ""
			})
			patch("stuck", `{"metadata":{"annotations":{"lab.sluice.dev/behavior":null}}}`)
			w.statusBecomes(databases, "stuck", map[string]any{"phase": "Ready"})
			patch("db", `{"metadata":{"labels":{"tier":"gold"}}}`)
			w.statusBecomes(databases, "db", map[string]any{"phase": "Golden"})
		})
	}
}

func TestMistakesInRulesAreReported(t *testing.T) {
	w := enter(t)
	group := unique("lab") + ".example.com"
	w.rules("mistaken", fmt.Sprintf(`
- group: %[1]s
  kind: Good
  steps: [{status: {phase: Ready}}]
- group: %[1]s
  kind: Bad
  steps: [{after: soon, status: {phase: Ready}}]
- group: apps
  kind: Deployment
  steps: [{status: {replicas: 1}}]
- group: %[1]s
  kind: Odd
  stages: []
`, group))
	w.warning("mistaken", "rule 2", `"soon"`, "rule 3", `"apps"`, "rule 4", `"stages"`)
	goods := w.define(group, "Good", true)
	w.create(goods, "Good", "one", nil)
	w.statusBecomes(goods, "one", map[string]any{"phase": "Ready"})
}

func TestClickHouseBecomesCompleted(t *testing.T) {
	w := enter(t)
	installations := w.define("clickhouse.altinity.com", "ClickHouseInstallation", true)
	w.create(installations, "ClickHouseInstallation", "events", nil)
	w.create(installations, "ClickHouseInstallation", "stuck", map[string]string{behavior: "hang"})
	w.create(installations, "ClickHouseInstallation", "broken", map[string]string{behavior: "fail"})
	w.statusBecomes(installations, "events", map[string]any{"status": "Completed"})
	w.statusBecomes(installations, "stuck", map[string]any{"status": "InProgress"})
	w.statusBecomes(installations, "broken", map[string]any{"status": "Aborted"})
}
