package fluxtest

import (
	"testing"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func judges(apiVersion, kind string, e kustomize.HealthCheckExpressions) func(*kustomizev1.Kustomization) {
	return func(k *kustomizev1.Kustomization) {
		k.Spec.HealthCheckExprs = append(k.Spec.HealthCheckExprs, kustomize.CustomHealthCheck{APIVersion: apiVersion, Kind: kind, HealthCheckExpressions: e})
	}
}

// kustomization_wait_test.go WaitsForCustomHealthChecks: an expression that
// cannot be evaluated on an object keeps it waited for until the time-out, and
// the message of Ready has the object's kind and the evaluation error.
func TestExpressionThatCannotBeEvaluated(t *testing.T) {
	w := enter(t)
	w.publish("v1.0.0", w.files("-- config.yaml --\n{apiVersion: v1, kind: ConfigMap, metadata: {name: $ID}}\n"))
	w.kustomization(name, prunes, waits, timeout(time.Second),
		judges("v1", "ConfigMap", kustomize.HealthCheckExpressions{InProgress: "has(data.foo.bar)", Current: "true"}))
	w.until(name, "out of time", failing(meta.HealthCheckFailedReason,
		"timeout waiting for: [ConfigMap", "failed to evaluate the CEL expression 'has(data.foo.bar)': no such attribute(s): data.foo.bar"))
}

const fooAndBar = `
-- foo-crd.yaml --
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: foos.$GROUP}
spec:
  group: $GROUP
  scope: Cluster
  names: {kind: Foo, listKind: FooList, plural: foos, singular: foo}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {ready: {type: boolean}}}}}}}]
-- bar-crd.yaml --
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: bars.$GROUP}
spec:
  group: $GROUP
  scope: Cluster
  names: {kind: Bar, listKind: BarList, plural: bars, singular: bar}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {ready: {type: boolean}}}}}}}]
-- foo.yaml --
{apiVersion: $GROUP/v1, kind: Foo, metadata: {name: foo-$ID}, spec: {ready: true}}
-- bar.yaml --
{apiVersion: $GROUP/v1, kind: Bar, metadata: {name: bar-$ID}, spec: {ready: $READY}}
`

// kustomization_wait_test.go HealthCheckExprs_GroupOnly: an expression without a
// kind judges every kind of its group; Healthy=False names the kind and the
// object that do not satisfy it.
func TestExpressionForAGroup(t *testing.T) {
	w := enter(t)
	group := w.id + ".example.com"
	w.publish("v1.0.0", w.files(fooAndBar, "$GROUP", group, "$READY", "true"))
	w.kustomization(name, anywhere, prunes, waits,
		judges(group+"/v1", "", kustomize.HealthCheckExpressions{Current: "has(spec.ready) && spec.ready == true"}))
	k := w.until(name, "healthy", succeeded)
	if c := condition(k, meta.HealthyCondition); c.Status != metav1.ConditionTrue || c.Reason != meta.SucceededReason {
		t.Errorf("Healthy is %+v", c)
	}

	w.edit(name, timeout(2*time.Second))
	w.publish("v1.0.1", w.files(fooAndBar, "$GROUP", group, "$READY", "false"))
	w.until(name, "unhealthy", func(k *kustomizev1.Kustomization) bool {
		c := condition(k, meta.HealthyCondition)
		return c.Status == metav1.ConditionFalse && c.Reason == meta.HealthCheckFailedReason && containsAll(c.Message, []string{"Bar", "bar-" + w.id})
	})
}

const workload = `
-- deployment.yaml --
apiVersion: apps/v1
kind: Deployment
metadata: {name: $NAME}
spec:
  selector: {matchLabels: {app: $NAME}}
  template:
    metadata: {labels: {app: $NAME}}
    spec: {containers: [{name: app, image: "$IMAGE"}]}
`

// kustomization_wait_test.go CancelHealthCheckOnNewRevision: a new revision ends
// the wait for the health of the old one long before its time-out; an Event
// HealthCheckCanceled says so and names the kind of the source.
func TestNewRevisionEndsAWait(t *testing.T) {
	w := enter(t)
	w.publish("good", w.files("-- config.yaml --\n{apiVersion: v1, kind: ConfigMap, metadata: {name: $ID}}\n"))
	w.kustomization(name, waits, timeout(5*time.Minute))
	w.until(name, "at good", at("good"))
	w.publish("bad", w.files(workload, "$NAME", "bad", "$IMAGE", "example.com/does-not-exist:1"))
	w.until(name, "waiting for bad", func(k *kustomizev1.Kustomization) bool {
		healthy := condition(k, meta.HealthyCondition)
		return k.Status.LastAttemptedRevision == "bad" && healthy.Status == metav1.ConditionUnknown
	})
	w.publish("fixed", w.files(workload, "$NAME", "fixed", "$IMAGE", "example.com/app:1"))
	w.until(name, "at fixed", at("fixed"))
	w.event(name, about{reason: meta.HealthCheckCanceledReason, text: "Health checks canceled"})
	w.event(name, about{reason: meta.HealthCheckCanceledReason, text: "GitRepository"})
}
