package deliver

import (
	"slices"
	"testing"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What somebody takes between the plan and its last step is not deleted.
func TestTakenWhileAStageWaits(t *testing.T) {
	inTime(t, func(w *world) {
		namespace := "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: ns\n"
		installed(w)
		w.tracked = false
		w.cluster.slow = 10 * time.Second
		w.publish("v2", map[string]string{"app/ns.yaml": namespace, "app/a.yaml": configMap("a", "1")})
		w.pass(time.Second)
		u := w.cluster.objects[cm("b")]
		labels := u.GetLabels()
		labels["kustomize.toolkit.fluxcd.io/name"] = "other"
		u.SetLabels(labels)
		w.pass(time.Minute)
		w.expect("app", "Applied revision: v2")
		if w.cluster.objects[cm("b")] == nil {
			t.Error("b was deleted")
		}
	})
}

// Something else that creates an object at once is not fought for ever.
func TestReplacedAgainAndAgain(t *testing.T) {
	inTime(t, func(w *world) {
		w.publish("v1", map[string]string{"app/j.yaml": job("j", "one", "")})
		w.add("app", func(ks *kustomizev1.Kustomization) { ks.Spec.Force = true })
		w.pass(time.Second)
		id := objectID{Group: "batch", Kind: "Job", Namespace: "ns", Name: "j"}
		was := w.cluster.objects[id].DeepCopy()
		w.cluster.fault = func(call string, _ objectID) error {
			if w.cluster.objects[id] == nil && call == "observe" {
				w.cluster.objects[id] = was.DeepCopy()
			}
			return nil
		}
		w.publish("v2", map[string]string{"app/j.yaml": job("j", "two", "")})
		w.pass(time.Second)
		w.expect("app", "False ReconciliationFailed: Job/ns/j was deleted to be created anew, and is always there again")
		if n := len(w.cluster.writes); n > 6 {
			t.Errorf("%d writes", n)
		}
	})
}

// An object that is only to be created is not drift once it is there.
func TestIfNotPresentIsNoDrift(t *testing.T) {
	inTime(t, func(w *world) {
		text := "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  namespace: ns\n  annotations:\n    kustomize.toolkit.fluxcd.io/ssa: IfNotPresent\n"
		w.publish("v1", map[string]string{"app/a.yaml": text})
		m := w.add("app")
		w.pass(time.Second)
		w.cluster.objects[cm("a")].Object["data"] = map[string]any{"v": "mine"}
		begun := m.delivery.kept.started
		for range 100 {
			w.wake("app")
			w.pass(time.Second)
		}
		if again := m.delivery.kept.started; !again.Equal(begun) || len(w.cluster.writes) != 1 {
			t.Errorf("a roll-out began at %v, writes %v", again, w.cluster.writes)
		}
	})
}

// Knowledge of the cluster is verified when the interval is over and when
// somebody asks, not for new content.
func TestVerification(t *testing.T) {
	inTime(t, func(w *world) {
		m := installed(w)
		since := func() time.Time { return w.cluster.since }
		w.publish("v2", map[string]string{"app/a.yaml": configMap("a", "2")})
		w.pass(time.Second)
		if !since().IsZero() {
			t.Errorf("new content: since %v", since())
		}
		w.pass(10 * time.Minute)
		if since().IsZero() {
			t.Error("interval: nothing is verified")
		}
		w.publish("v3", map[string]string{"app/a.yaml": configMap("a", "3")})
		w.pass(time.Second)
		m.annotate("reconcile.fluxcd.io/requestedAt", "now")
		w.pass(time.Second)
		if m.delivery.kept.started.Sub(since()) > 2*time.Second { // lists that young are shared
			t.Errorf("request: since %v, begun %v", since(), m.delivery.kept.started)
		}
	})
}

func TestOrphans(t *testing.T) {
	inTime(t, func(w *world) {
		m := installed(w)
		now := metav1.Now()
		m.edit(func(ks *kustomizev1.Kustomization) { ks.Spec.Prune, ks.DeletionTimestamp = false, &now })
		w.pass(time.Second)
		if !m.gone || slices.ContainsFunc(w.cluster.writes, func(string) bool { return true }) {
			t.Errorf("gone %v, writes %v", m.gone, w.cluster.writes)
		}
	})
}

// After a restart, too, patience with what was Ready is that of attend, not the
// timeout of a roll-out.
func TestUnhealthyAfterARestart(t *testing.T) {
	inTime(t, func(w *world) {
		w.publish("v1", map[string]string{"app/a.yaml": configMap("a", "1")})
		w.add("app", func(ks *kustomizev1.Kustomization) { ks.Spec.Timeout.Duration = 5 * time.Minute })
		w.pass(time.Second)
		w.cluster.verdicts[cm("a")] = inProgress
		w.restart()
		w.pass(29 * time.Second)
		w.expect("app", "True")
		w.pass(2 * time.Second)
		w.expect("app", "False HealthCheckFailed: health check failed after 30s: timeout waiting")
	})
}
