package fluxtest

import (
	"testing"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const oneConfig = `
-- config.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: $ID}
data: {key: value}
`

// The file of Flux's test has an autoscaler, too: its metrics are lists whose
// order the API server keeps.
const configAndScaler = oneConfig + `---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: $ID}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: test}
  minReplicas: 1
  maxReplicas: 10
  metrics:
  - type: Resource
    resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}
  - type: Pods
    pods: {metric: {name: packets-per-second}, target: {type: AverageValue, averageValue: 1k}}
  - type: Object
    object:
      metric: {name: requests-per-second}
      describedObject: {apiVersion: networking.k8s.io/v1, kind: Ingress, name: main-route}
      target: {type: Value, value: 10k}
`

// dependsOn replaces the dependencies of a Kustomization.
func dependsOn(on ...kustomizev1.DependencyReference) func(*kustomizev1.Kustomization) {
	return func(k *kustomizev1.Kustomization) { k.Spec.DependsOn = on }
}

// kustomization_dependson_test.go DependsOn: without its source a Kustomization
// is ArtifactFailed and recovers by itself when the source comes; with a
// dependency that does not exist it is DependencyNotReady.
func TestDependsOn(t *testing.T) {
	w := enter(t)
	w.kustomization(name, prunes)
	w.until(name, "without a source", failing(meta.ArtifactFailedReason))
	w.publish("v1.0.0", w.files(configAndScaler))
	w.until(name, "at v1.0.0", at("v1.0.0"))
	w.edit(name, dependsOn(kustomizev1.DependencyReference{Namespace: w.id, Name: "root"}))
	w.until(name, "waiting", failing(meta.DependencyNotReadyReason, "root"))
}

// kustomization_dependson_test.go DependsOn_CEL: readyExpr decides about a
// dependency, even a suspended one, and sees both objects; what it says no to is
// DependencyNotReady and not Stalled; one that cannot be compiled is Stalled
// with InvalidCELExpression; a Kustomization that waits can be deleted.
func TestDependsOnExpression(t *testing.T) {
	w := enter(t)
	const same = `self.metadata.annotations['app/version'] == dep.metadata.annotations['app/version']`
	version := func(v string) func(*kustomizev1.Kustomization) {
		return func(k *kustomizev1.Kustomization) {
			metav1.SetMetaDataAnnotation(&k.ObjectMeta, "app/version", v)
		}
	}
	w.publish("v1.0.0", w.files(oneConfig))
	w.kustomization("dep", version("v1.2.3"), prunes, func(k *kustomizev1.Kustomization) { k.Spec.Suspend = true })
	w.kustomization(name, version("v1.2.3"), prunes, dependsOn(kustomizev1.DependencyReference{Name: "dep", ReadyExpr: same}))
	w.until(name, "at v1.0.0", at("v1.0.0"))

	w.edit(name, func(k *kustomizev1.Kustomization) {
		version("v1.2.4")(k)
		dependsOn(kustomizev1.DependencyReference{Namespace: w.id, Name: "dep", ReadyExpr: same})(k)
	})
	k := w.until(name, "waiting", failing(meta.DependencyNotReadyReason, "not ready according to readyExpr"))
	if is(k, meta.StalledCondition, metav1.ConditionTrue) {
		t.Errorf("what waits is stalled: %s", show(k))
	}
	w.edit(name, dependsOn(kustomizev1.DependencyReference{Name: "dep", ReadyExpr: `self.generation == deps.generation`}))
	w.until(name, "stalled", stalled(meta.InvalidCELExpressionReason, "failed to parse"))
	w.remove(name)
}
