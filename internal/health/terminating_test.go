package health

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Whoever waits for an object to go is told what keeps it, and who.
func TestTerminatingNamesWhoHoldsIt(t *testing.T) {
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{
			"name": "a", "namespace": "n", "deletionTimestamp": "2026-01-01T00:00:00Z",
			"finalizers": []any{"example.com/hold", "example.com/other"},
			"managedFields": []any{map[string]any{
				"manager": "backup-operator", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
				"fieldsV1": map[string]any{"f:metadata": map[string]any{"f:finalizers": map[string]any{".": map[string]any{}, `v:"example.com/hold"`: map[string]any{}}}},
			}},
		},
	}}
	want := "Resource scheduled for deletion; held by finalizer example.com/hold (set by backup-operator), example.com/other"
	if got := Judge(u, nil); got.Status != Terminating || got.Message != want {
		t.Errorf("%+v", got)
	}
	u.SetFinalizers(nil)
	if got := Judge(u, nil); got.Message != "Resource scheduled for deletion" {
		t.Errorf("%+v", got)
	}
}
