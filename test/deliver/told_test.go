package delivertest

import (
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// eventsOf lists "Type Reason: message" of the Kubernetes Events of a
// Kustomization.
func (w *world) eventsOf(name string) []string {
	w.Helper()
	var list corev1.EventList
	w.must(w.client.List(w.Context(), &list, client.InNamespace(w.namespace)))
	var texts []string
	for _, e := range list.Items {
		if e.InvolvedObject.Name == name && e.InvolvedObject.Kind == "Kustomization" {
			texts = append(texts, e.Type+" "+e.Reason+": "+e.Message)
		}
	}
	return texts
}
