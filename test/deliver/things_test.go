package delivertest

import (
	"context"
	"fmt"
	"strings"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func configMap(name, version string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: ConfigMap
metadata: {name: %s}
data: {version: "%s"}
`, name, version)
}

// deployment of one pod; annotations of the pod steer the lab.
func deployment(name, version, annotations string) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: 1
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata:
      labels: {app: %[1]s}
      annotations: {version: "%[2]s"%[3]s}
    spec:
      containers: [{name: app, image: "example.com/app:%[2]s"}]
`, name, version, annotations)
}

const hangs = `, lab.sluice.dev/behavior: hang`

func dependsOn(names ...string) func(*kustomizev1.Kustomization) {
	return func(k *kustomizev1.Kustomization) {
		for _, name := range names {
			k.Spec.DependsOn = append(k.Spec.DependsOn, kustomizev1.DependencyReference{Name: name})
		}
	}
}

func configMapObject(namespace, name, version string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: map[string]string{"version": version}}
}

// accepts waits for a rule to take effect: it says that an object would still
// be accepted.
func (w *world) accepts(o client.Object) string {
	w.Helper()
	if err := w.client.Create(w.Context(), o, client.DryRunAll); err == nil {
		return o.GetName() + " would still be accepted"
	}
	return ""
}

// erase removes an object at the end of a test, whoever holds on to it.
func (w *world) erase(o client.Object) {
	ctx := context.Background()
	if err := client.IgnoreNotFound(w.client.Delete(ctx, o)); err != nil {
		w.Error(err)
	}
}

// here puts the test's namespace in.
func (w *world) here(text string) string { return strings.ReplaceAll(text, "$NS", w.namespace) }
