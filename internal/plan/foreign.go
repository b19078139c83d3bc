package plan

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// What a clean-up removes (kustomize-controller kustomization_controller.go
// apply): what kubectl and older versions of Flux left behind.
var (
	staleAnnotations = []string{corev1.LastAppliedConfigAnnotation, domain + "checksum", "fluxcd.io/sync-checksum"}
	staleLabels      = []string{"fluxcd.io/sync-gc-mark"}
)

// foreignManager is a prefix of the name of a manager, and the operation.
type foreignManager struct {
	prefix    string
	operation metav1.ManagedFieldsOperationType
}

// foreignManagers are those whose fields are taken over.
func foreignManagers(override []string) []foreignManager {
	const apply, update = metav1.ManagedFieldsOperationApply, metav1.ManagedFieldsOperationUpdate
	list := []foreignManager{
		{"kubectl", apply},
		{"kubectl", update},
		{"before-first-apply", update},
		{Manager, update},
	}
	for _, name := range override {
		list = append(list, foreignManager{name, apply}, foreignManager{name, update})
	}
	return list
}

func isForeign(entry metav1.ManagedFieldsEntry, managers []foreignManager) bool {
	return entry.Subresource == "" && slices.ContainsFunc(managers, func(m foreignManager) bool {
		return entry.Operation == m.operation && strings.HasPrefix(entry.Manager, m.prefix)
	})
}

// hasForeign tells that something is there that a clean-up removes.
func hasForeign(live *unstructured.Unstructured, entries []metav1.ManagedFieldsEntry, override []string) bool {
	annotations, labels := live.GetAnnotations(), live.GetLabels()
	for _, key := range staleAnnotations {
		if _, there := annotations[key]; there {
			return true
		}
	}
	for _, key := range staleLabels {
		if _, there := labels[key]; there {
			return true
		}
	}
	managers := foreignManagers(override)
	own, found := ownEntry(entries)
	for i, entry := range entries {
		if isForeign(entry, managers) && !(found && i == own) {
			return true
		}
	}
	return false
}

// ownEntry is the last entry that Manager applied.
func ownEntry(entries []metav1.ManagedFieldsEntry) (at int, found bool) {
	for i, entry := range slices.Backward(entries) {
		if entry.Manager == Manager && entry.Operation == metav1.ManagedFieldsOperationApply && entry.Subresource == "" {
			return i, true
		}
	}
	return 0, false
}
