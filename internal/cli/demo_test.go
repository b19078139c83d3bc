package cli

import (
	"testing"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// link is a Kustomization as a watch shows it.
func link(name, source, attempted, applied string, ready bool, needs ...string) *kustomizev1.Kustomization {
	k := &kustomizev1.Kustomization{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, Generation: 1}}
	k.Spec.SourceRef.Name = source
	for _, n := range needs {
		k.Spec.DependsOn = append(k.Spec.DependsOn, kustomizev1.DependencyReference{Name: n})
	}
	k.Status.LastAttemptedRevision, k.Status.LastAppliedRevision = attempted, applied
	status := metav1.ConditionFalse
	if ready {
		status = metav1.ConditionTrue
	}
	k.Status.Conditions = append(k.Status.Conditions, conditionOf(meta.ReadyCondition, status))
	return k
}

func conditionOf(kind string, status metav1.ConditionStatus) (c metav1.Condition) {
	c.Type, c.Status, c.ObservedGeneration = kind, status, 1
	return c
}

// The demo would notice a roll-out that begins too early.
func TestOrderIsJudged(t *testing.T) {
	for name, tc := range map[string]struct {
		seen  []*kustomizev1.Kustomization
		begun int
		want  []string
	}{
		"in order": {
			seen: []*kustomizev1.Kustomization{
				link("a", "s", "v1", "", false), link("b", "s", "", "", false, "a"),
				link("a", "s", "v1", "v1", true), link("b", "s", "v1", "", false, "a"), link("b", "s", "v1", "v1", true, "a"),
			},
			begun: 2,
		},
		"before it is ready": {
			seen:  []*kustomizev1.Kustomization{link("a", "s", "v1", "", false), link("b", "s", "v1", "", false, "a")},
			begun: 2, want: []string{"b began v1 while a was not Ready"},
		},
		"before it is there": {
			seen:  []*kustomizev1.Kustomization{link("b", "s", "v1", "", false, "a")},
			begun: 1, want: []string{"b began v1 while a was not there"},
		},
		"an upgrade while it is Ready at the version before": {
			seen: []*kustomizev1.Kustomization{
				link("a", "s", "v1", "v1", true), link("b", "s", "v1", "v1", true, "a"), link("b", "s", "v2", "v1", false, "a"),
			},
			begun: 3, want: []string{"b began v2 while a was at v1"},
		},
		"another source has its own versions": {
			seen:  []*kustomizev1.Kustomization{link("a", "s", "v1", "v1", true), link("b", "other", "v7", "", false, "a")},
			begun: 2,
		},
	} {
		var o order
		for _, k := range tc.seen {
			o.see(k)
		}
		if diff := cmp.Diff(tc.want, o.wrong); diff != "" || o.begun != tc.begun {
			t.Errorf("%s: %d roll-outs (-want +got):\n%s", name, o.begun, diff)
		}
	}
}

// The demo would notice a write, and does not take a status for one.
func TestMarksShowWrites(t *testing.T) {
	plain := func(version string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"uid": "u", "resourceVersion": version}}}
	}
	running := func(version, status, written string) *unstructured.Unstructured {
		field := func(manager, operation, subresource, time string) map[string]any {
			return map[string]any{"manager": manager, "operation": operation, "subresource": subresource, "time": time, "fieldsV1": map[string]any{}}
		}
		return &unstructured.Unstructured{Object: map[string]any{
			"metadata": map[string]any{"uid": "u", "resourceVersion": version, "generation": int64(2), "managedFields": []any{
				field("kustomize-controller", "Apply", "", written), field("kube-controller-manager", "Update", "status", "2026-11-20T11:00:0"+version+"Z"),
			}},
			"status": map[string]any{"replicas": status},
		}}
	}
	const at, later = "2026-11-20T10:00:00Z", "2026-11-20T10:00:01Z"
	before := map[string]string{"a": mark(plain("1")), "b": mark(running("5", "1", at))}
	for name, tc := range map[string]struct {
		after map[string]string
		want  string
	}{
		"nothing":         {map[string]string{"a": mark(plain("1")), "b": mark(running("5", "1", at))}, ""},
		"a status":        {map[string]string{"a": mark(plain("1")), "b": mark(running("6", "2", at))}, ""},
		"a plain object":  {map[string]string{"a": mark(plain("2")), "b": mark(running("5", "1", at))}, "a was written"},
		"one that runs":   {map[string]string{"a": mark(plain("1")), "b": mark(running("6", "1", later))}, "b was written"},
		"one goes, comes": {map[string]string{"a": mark(plain("1")), "c": mark(plain("9"))}, "b is gone, c is new"},
	} {
		if got := changed(before, tc.after); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}
