package deliver

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/internal/inventory"
)

func inTime(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(newWorld(t)) })
}

// installed is a Ready Kustomization of two objects.
func installed(w *world) *member {
	w.publish("v1", map[string]string{"app/a.yaml": configMap("a", "1"), "app/b.yaml": configMap("b", "1")})
	m := w.add("app")
	w.pass(time.Second)
	w.expect("app", "True ReconciliationSucceeded: Applied revision: v1")
	m.journal.written()
	m.journal.reasons()
	w.cluster.writes = nil
	return m
}

func TestTwoWritesAndThreeNotices(t *testing.T) {
	inTime(t, func(w *world) {
		w.cluster.slow = 3 * time.Second
		w.publish("v1", map[string]string{"app/a.yaml": configMap("a", "1")})
		m := w.add("app")
		w.pass(time.Second)
		w.expect("app", "Unknown Progressing")
		if got := m.condition(meta.HealthyCondition); got != "Unknown Progressing: Running health checks for revision v1 with a timeout of 30s" {
			t.Errorf("healthy: %s", got)
		}
		w.pass(10 * time.Second)
		w.expect("app", "True ReconciliationSucceeded: Applied revision: v1")
		if n := m.journal.written(); n != 2 {
			t.Errorf("%d status writes", n)
		}
		want := []string{"Progressing", "Progressing", "ReconciliationSucceeded"} // changed, healthy, succeeded
		if diff := cmp.Diff(want, m.journal.reasons()); diff != "" {
			t.Error(diff)
		}
		if got := m.condition(meta.HealthyCondition); got != "True Succeeded: Health check passed in 3s" {
			t.Errorf("healthy: %s", got)
		}
	})
}

func TestNoOpWritesNothing(t *testing.T) {
	inTime(t, func(w *world) {
		m := installed(w)
		w.pass(time.Hour)
		if n, news := m.journal.written(), m.journal.reasons(); n != 0 || len(news) != 0 || len(w.cluster.writes) != 0 {
			t.Errorf("%d status writes, notices %v, writes %v", n, news, w.cluster.writes)
		}
		before := m.ks.Status
		m.annotate(meta.ReconcileRequestAnnotation, "now")
		w.pass(time.Second)
		before.LastHandledReconcileAt = "now"
		if diff := cmp.Diff(before, m.ks.Status); diff != "" || m.journal.written() != 1 || len(m.journal.reasons()) != 0 {
			t.Errorf("a requested no-op: %s", diff)
		}
	})
}

func TestNothingIsWrittenBeforeTheInventory(t *testing.T) {
	inTime(t, func(w *world) { // the world checks it at every call
		installed(w)
		var at inventory.Inventory
		w.cluster.fault = func(call string, _ objectID) error {
			if call == "apply" || call == "delete" {
				at, _ = inventory.Read(w.members["app"].ks.Status.Inventory)
				for _, id := range []string{"a", "b", "c"} {
					if !at.Has(cm(id)) {
						t.Errorf("%s: %s is not in the inventory", call, id)
					}
				}
			}
			return nil
		}
		w.publish("v2", map[string]string{"app/a.yaml": configMap("a", "2"), "app/c.yaml": configMap("c", "1")})
		w.pass(time.Second)
		if at.Len() != 3 {
			t.Errorf("nothing was applied")
		}
		own, _ := inventory.Read(w.members["app"].ks.Status.Inventory)
		if own.Len() != 2 || own.Has(cm("b")) {
			t.Errorf("the inventory in the end: %v", own.IDs())
		}
	})
}

// A new revision of the same content that has to wait for health shows that,
// once.
func TestWaitingForHealthWithoutWritesIsShownOnce(t *testing.T) {
	inTime(t, func(w *world) {
		m := installed(w)
		w.cluster.verdicts[cm("a")] = inProgress
		w.publish("v2", w.files("v1"))
		w.pass(time.Second)
		w.wake("app")
		w.pass(time.Second)
		w.expect("app", "Unknown Progressing")
		if got := m.condition(meta.HealthyCondition); !slices.Contains([]string{"Unknown Progressing: Running health checks for revision v2 with a timeout of 30s"}, got) {
			t.Errorf("healthy: %s", got)
		}
		delete(w.cluster.verdicts, cm("a"))
		w.wake("app")
		w.pass(time.Second)
		w.expect("app", "Applied revision: v2")
		if n := m.journal.written(); n != 2 || len(w.cluster.writes) != 0 {
			t.Errorf("%d status writes, writes %v", n, w.cluster.writes)
		}
	})
}

func TestFailureHalfWay(t *testing.T) {
	inTime(t, func(w *world) {
		m := installed(w)
		w.cluster.fault = func(call string, id objectID) error {
			if call == "apply" && id == cm("b") {
				return forbidden
			}
			return nil
		}
		w.publish("v2", map[string]string{"app/a.yaml": configMap("a", "2"), "app/b.yaml": configMap("b", "2"), "app/c.yaml": configMap("c", "2")})
		w.pass(time.Second)
		w.expect("app", "False ReconciliationFailed: ConfigMap/ns/b apply failed: ")
		w.expect("app", "\nConfigMap/ns/a configured")
		if own, _ := inventory.Read(m.ks.Status.Inventory); own.Len() != 3 {
			t.Errorf("the inventory: %v", own.IDs())
		}
		if got := m.condition(meta.ReconcilingCondition); got[:len("True ProgressingWithRetry")] != "True ProgressingWithRetry" {
			t.Error(got)
		}
		m.journal.reasons()
		w.pass(10 * time.Minute) // every minute again
		if news := m.journal.reasons(); len(news) != 0 {
			t.Errorf("the same failure is told again: %v", news)
		}
		w.cluster.fault = nil
		w.pass(time.Minute)
		w.expect("app", "Applied revision: v2")
	})
}

func TestTransientErrorsAreNotSaid(t *testing.T) {
	for _, call := range []string{"apply", "observe", "judge", "delete"} {
		inTime(t, func(w *world) {
			m := installed(w)
			failures := 3
			w.cluster.fault = func(c string, _ objectID) error {
				if c == call && failures > 0 {
					failures--
					return errDown
				}
				return nil
			}
			w.publish("v2", map[string]string{"app/a.yaml": configMap("a", "2")})
			w.pass(20 * time.Second)
			w.expect("app", "Applied revision: v2")
			if n := m.journal.written(); n != 2 || failures != 0 {
				t.Errorf("%s: %d status writes, %d failures left", call, n, failures)
			}
			failures = 1000
			w.publish("v3", map[string]string{"app/a.yaml": configMap("a", "3"), "app/b.yaml": configMap("b", "3")})
			w.publish("v4", map[string]string{"app/a.yaml": configMap("a", "4"), "app/c.yaml": configMap("b", "3")})
			w.pass(30 * time.Second)
			if call != "delete" {
				w.expect("app", "False")
			}
		})
	}
}

func TestPruneFailureKeepsSurvivors(t *testing.T) {
	inTime(t, func(w *world) {
		m := installed(w)
		w.cluster.verdicts[cm("a")] = inProgress
		w.cluster.fault = func(call string, id objectID) error {
			if call == "delete" {
				return forbidden
			}
			return nil
		}
		w.publish("v2", map[string]string{"app/a.yaml": configMap("a", "2")})
		w.pass(time.Second)
		w.expect("app", "False PruneFailed: ConfigMap/ns/b delete failed: ")
		if own, _ := inventory.Read(m.ks.Status.Inventory); !own.Has(cm("b")) {
			t.Errorf("the survivor is not in the inventory: %v", own.IDs())
		}
		w.cluster.fault = nil
		delete(w.cluster.verdicts, cm("a"))
		w.pass(time.Minute)
		w.expect("app", "Applied revision: v2")
		if w.cluster.objects[cm("b")] != nil {
			t.Error("b is still there")
		}
	})
}

func TestMistakeThatCanBeSeenChangesNothing(t *testing.T) {
	inTime(t, func(w *world) {
		installed(w)
		w.cluster.refuse[cm("b")] = forbidden
		w.publish("v2", map[string]string{"app/a.yaml": configMap("a", "2"), "app/b.yaml": configMap("b", "2")})
		w.pass(time.Second)
		w.expect("app", "False ReconciliationFailed: ConfigMap/ns/b dry-run failed (Forbidden)")
		if len(w.cluster.writes) != 0 {
			t.Errorf("writes: %v", w.cluster.writes)
		}
	})
}

func TestMissingKindIsRetriedWhenItIsServed(t *testing.T) {
	inTime(t, func(w *world) {
		w.cluster.unserved["ConfigMap"] = true
		w.publish("v1", map[string]string{"app/a.yaml": configMap("a", "1")})
		m := w.add("app", func(ks *kustomizev1.Kustomization) { ks.Spec.RetryInterval.Duration = time.Hour })
		w.pass(time.Second)
		w.expect("app", "False ReconciliationFailed: ConfigMap/ns/a: no server knows kind ConfigMap of v1")
		w.wake("app")
		w.pass(time.Second)
		if n := m.journal.written(); n != 1 {
			t.Errorf("%d writes", n)
		}
		delete(w.cluster.unserved, "ConfigMap")
		w.wake("app")
		w.pass(time.Millisecond)
		w.expect("app", "Applied revision: v1")
	})
}

func TestStalledIsNotRetried(t *testing.T) {
	inTime(t, func(w *world) {
		w.publish("v1", map[string]string{"app/a.yaml": configMap("a", "1")})
		m := w.add("app", needs("db"), func(ks *kustomizev1.Kustomization) { ks.Spec.DependsOn[0].ReadyExpr = "dep." })
		w.pass(time.Hour)
		w.expect("app", "False InvalidCELExpression: Reconciliation failed terminally due to configuration error: ")
		if m.journal.written() != 1 || !m.due.IsZero() || m.condition(meta.StalledCondition) == "" || m.ks.Status.ObservedGeneration != 1 {
			t.Errorf("due %v, status %+v", m.due, m.ks.Status)
		}
		m.edit(func(ks *kustomizev1.Kustomization) { ks.Spec.DependsOn = nil })
		w.pass(time.Second)
		w.expect("app", "Applied revision: v1")
	})
}
