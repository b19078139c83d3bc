package fluxtest

import (
	"slices"
	"strings"
	"testing"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const configAndClass = `
-- config.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: $ID}
data: {key: $VALUE}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: $ID, namespace: was-system}
provisioner: example.com/efs
parameters: {gidMin: "2200"}
`

func timeout(d time.Duration) func(*kustomizev1.Kustomization) {
	return func(k *kustomizev1.Kustomization) { k.Spec.Timeout = &metav1.Duration{Duration: d} }
}

// snapshot checks the length of the history and its newest entry.
func (w *world) snapshot(k *kustomizev1.Kustomization, length int, total int64, status, revision string) {
	w.Helper()
	h := k.Status.History
	if len(h) != length {
		w.Errorf("the history has %d entries, want %d: %+v", len(h), length, h)
		return
	}
	var metadata []string
	for _, v := range h[0].Metadata {
		metadata = append(metadata, v)
	}
	if h[0].TotalReconciliations != total || h[0].LastReconciledStatus != status || !slices.Contains(metadata, revision) {
		w.Errorf("the newest entry of the history is %+v, want %d times %s with %s", h[0], total, status, revision)
	}
}

// told is how often Events with a revision have said something.
func (w *world) told(called, revision, text string) int {
	w.Helper()
	n := 0
	for _, e := range w.events(called) {
		if e.Annotations[revisionKey] == revision && strings.Contains(e.Message, text) {
			n += max(1, int(e.Count)) // the same message again is the same Event
		}
	}
	return n
}

// kustomization_wait_test.go WaitConditions: the life of a Kustomization with
// health checks, as its conditions, observed generation, history and events show
// it: healthy; changed, and "Running health checks" while it is (Reconciling and
// Healthy=Unknown, Progressing); unhealthy (HealthCheckFailed in Healthy and
// Ready, ProgressingWithRetry, observedGeneration stays behind,
// lastHandledReconcileAt is the request's, a Warning that names the object);
// healthy again; healthy with a new revision; gone.
func TestWait(t *testing.T) {
	w := enter(t)
	w.publish("v1.0.0", w.files(configAndClass, "$VALUE", "one"))
	w.kustomization(name, prunes, waits, timeout(time.Second), func(k *kustomizev1.Kustomization) {
		k.Spec.Interval.Duration, k.Spec.RetryInterval = 2*time.Minute, nil
	})

	k := w.until(name, "healthy", succeeded)
	healthy := condition(k, meta.HealthyCondition)
	if healthy.Status != metav1.ConditionTrue || healthy.Reason != meta.SucceededReason || k.Status.ObservedGeneration != k.Generation {
		t.Errorf("healthy is %s", show(k))
	}
	w.conforms(k)
	w.snapshot(k, 1, 1, meta.ReconciliationSucceededReason, "v1.0.0")

	const request = "2026-01-02T03:04:05Z"
	w.edit(name, func(k *kustomizev1.Kustomization) {
		k.Annotations = map[string]string{meta.ReconcileRequestAnnotation: request}
		k.Spec.Wait = false
		k.Spec.HealthChecks = []meta.NamespacedObjectKindReference{{APIVersion: "v1", Kind: "ConfigMap", Namespace: w.id, Name: "does-not-exist"}}
	})
	k = w.passes(name, "running health checks", k.Generation+1, func(k *kustomizev1.Kustomization) bool {
		again, healthy := condition(k, meta.ReconcilingCondition), condition(k, meta.HealthyCondition)
		return again.Status == metav1.ConditionTrue && again.Reason == meta.ProgressingReason && strings.Contains(again.Message, "Running health checks") &&
			healthy.Status == metav1.ConditionUnknown && healthy.Reason == meta.ProgressingReason && strings.Contains(healthy.Message, "Running health checks") &&
			again.ObservedGeneration == k.Generation && healthy.ObservedGeneration == k.Generation
	})
	w.progressing(k)

	k = w.until(name, "unhealthy", failed)
	for _, kind := range []string{meta.HealthyCondition, meta.ReadyCondition} {
		c := condition(k, kind)
		if c.Status != metav1.ConditionFalse || c.Reason != meta.HealthCheckFailedReason || c.ObservedGeneration != k.Generation {
			t.Errorf("%s is %+v", kind, c)
		}
	}
	if c := condition(k, meta.ReconcilingCondition); c.Reason != meta.ProgressingWithRetryReason || !strings.Contains(c.Message, "Running health checks") {
		t.Errorf("Reconciling is %+v", c)
	}
	if k.Status.LastHandledReconcileAt != request || k.Status.ObservedGeneration != k.Generation-1 {
		t.Errorf("handled %q, generation %d, observed %d", k.Status.LastHandledReconcileAt, k.Generation, k.Status.ObservedGeneration)
	}
	w.conforms(k)
	w.snapshot(k, 2, 1, meta.HealthCheckFailedReason, "v1.0.0")
	w.event(name, about{kind: "Warning", text: "does-not-exist", revision: "v1.0.0"})

	w.edit(name, func(k *kustomizev1.Kustomization) { k.Spec.Wait = true })
	k = w.until(name, "healthy again", succeeded)
	healthy, ready := condition(k, meta.HealthyCondition), condition(k, meta.ReadyCondition)
	if healthy.Status != metav1.ConditionTrue || healthy.Reason != meta.SucceededReason || healthy.ObservedGeneration != k.Generation ||
		!strings.Contains(healthy.Message, "Health check passed") ||
		ready.Reason != meta.ReconciliationSucceededReason || ready.Message != "Applied revision: v1.0.0" {
		t.Errorf("healthy again is %s", show(k))
	}
	w.conforms(k)
	w.snapshot(k, 2, 2, meta.ReconciliationSucceededReason, "v1.0.0")
	w.eventually("an Event tells of the recovery, too", func() bool { return w.told(name, "v1.0.0", "Health check passed") >= 2 })

	w.publish("v2.0.0", w.files(configAndClass, "$VALUE", "two"))
	k = w.until(name, "at v2.0.0", at("v2.0.0"))
	if c := condition(k, meta.ReadyCondition); c.Message != "Applied revision: v2.0.0" || !is(k, meta.HealthyCondition, metav1.ConditionTrue) {
		t.Errorf("the new revision is %s", show(k))
	}
	w.conforms(k)
	w.snapshot(k, 3, 1, meta.ReconciliationSucceededReason, "v2.0.0")
	w.event(name, about{kind: "Normal", text: "Health check passed", revision: "v2.0.0"})

	if !slices.Contains(k.Finalizers, kustomizev1.KustomizationFinalizer) {
		t.Errorf("finalizers: %v", k.Finalizers)
	}
	w.remove(name)
}

// kustomization_wait_test.go WaitIgnoresSkippedObjects: an object with
// ssa=Ignore is not applied and not waited for.
func TestWaitSkipsWhatIsNotApplied(t *testing.T) {
	w := enter(t)
	w.publish("v1.0.0", w.files(`
-- objects.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: $ID}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ignored, annotations: {kustomize.toolkit.fluxcd.io/ssa: Ignore}}
spec:
  selector: {matchLabels: {app: ignored}}
  template:
    metadata: {labels: {app: ignored}}
    spec: {containers: [{name: app, image: example.com/does-not-exist:1}]}
`))
	w.kustomization(name, prunes, waits, timeout(5*time.Second))
	k := w.until(name, "ready", succeeded)
	if c := condition(k, meta.HealthyCondition); c.Status != metav1.ConditionTrue || c.Reason != meta.SucceededReason {
		t.Errorf("Healthy is %+v", c)
	}
	if w.has(&appsv1.Deployment{}, "ignored") {
		t.Error("the object is applied")
	}
}

// fluxcd/pkg/ssa manager_wait.go: a Job that is gone because its time to live is
// over was successful.
func TestWaitAcceptsJobsThatAreGone(t *testing.T) {
	w := enter(t)
	w.publish("v1.0.0", w.files(`
-- job.yaml --
apiVersion: batch/v1
kind: Job
metadata: {name: $ID}
spec:
  ttlSecondsAfterFinished: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{name: job, image: example.com/job:1}]
`))
	w.kustomization(name, waits, timeout(30*time.Second))
	k := w.until(name, "ready", succeeded)
	if !is(k, meta.HealthyCondition, metav1.ConditionTrue) {
		t.Errorf("it is %s", show(k))
	}
}
