package deliver

import (
	"slices"
	"strings"
	"testing"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
)

func TestHealthIsLostAndRegained(t *testing.T) {
	inTime(t, func(w *world) {
		m := installed(w)
		w.cluster.verdicts[cm("a")] = inProgress
		w.wake("app")
		w.pass(29 * time.Second)
		w.expect("app", "True")
		w.pass(2 * time.Second)
		w.expect("app", "False HealthCheckFailed: health check failed after 30s: timeout waiting for: [ConfigMap/ns/a status: 'InProgress']")
		delete(w.cluster.verdicts, cm("a"))
		w.wake("app")
		w.pass(time.Millisecond)
		w.expect("app", "True")
		w.cluster.verdicts[cm("a")] = broken
		w.wake("app")
		w.pass(time.Millisecond)
		w.expect("app", "False HealthCheckFailed: health check failed after 0s: failed early")
		w.pass(time.Hour) // tried again and again, without a word
		delete(w.cluster.verdicts, cm("a"))
		w.wake("app")
		w.pass(time.Millisecond)
		w.expect("app", "True")
		if n := m.journal.written(); n != 4 || len(w.cluster.writes) > 0 {
			t.Errorf("%d status writes, writes %v", n, w.cluster.writes)
		}
	})
}

// A roll-out that failed on health is Ready as soon as it is healthy after all.
func TestHealthyAfterAll(t *testing.T) {
	inTime(t, func(w *world) {
		m := installed(w)
		w.cluster.verdicts[cm("a")] = inProgress
		w.publish("v2", map[string]string{"app/a.yaml": configMap("a", "2"), "app/b.yaml": configMap("b", "1")})
		w.pass(29 * time.Second)
		w.expect("app", "Unknown")
		w.pass(2 * time.Second)
		w.expect("app", "False HealthCheckFailed: health check failed after 30s: timeout")
		delete(w.cluster.verdicts, cm("a"))
		w.wake("app")
		w.pass(time.Millisecond)
		w.expect("app", "Applied revision: v2")
		if n := m.journal.written(); n != 3 {
			t.Errorf("%d writes", n)
		}
	})
}

func TestFailFast(t *testing.T) {
	for _, fast := range []bool{true, false} {
		inTime(t, func(w *world) {
			w.engine.Policy.FailFast = fast
			w.cluster.verdicts[cm("a")], w.cluster.verdicts[cm("b")] = inProgress, broken
			w.publish("v1", map[string]string{"app/a.yaml": configMap("a", "1"), "app/b.yaml": configMap("b", "1")})
			m := w.add("app")
			w.pass(time.Second)
			if early := strings.HasPrefix(m.ready(), "False HealthCheckFailed: health check failed after 0s: failed early"); early != fast {
				t.Errorf("fail fast %v: %s", fast, m.ready())
			}
			w.pass(30 * time.Second)
			w.expect("app", "False HealthCheckFailed")
		})
	}
}

func TestDriftIsReversedWithPatience(t *testing.T) {
	inTime(t, func(w *world) {
		m := installed(w)
		reversed := 0
		meddle := func() {
			before := len(w.cluster.writes)
			_ = w.cluster.objects[cm("a")].Object["data"].(map[string]any)
			w.cluster.objects[cm("a")].Object["data"] = map[string]any{"v": "mine"}
			w.wake("app")
			w.pass(500 * time.Millisecond)
			reversed += len(w.cluster.writes) - before
		}
		meddle()
		if reversed != 1 {
			t.Fatal("the first drift was not reversed at once")
		}
		for range 1200 { // ten minutes of somebody who is quick
			meddle()
		}
		if reversed < 8 || reversed > 13 {
			t.Errorf("reversed %d times", reversed)
		}
		w.pass(10 * time.Minute)
		w.expect("app", "True")
		if v := w.cluster.objects[cm("a")].Object["data"].(map[string]any)["v"]; v != "1" {
			t.Errorf("it did not settle: %v", v)
		}
		news := m.journal.reasons()
		if i := slices.Index(news, "DriftRepeated"); i < 0 || slices.Contains(news[i+1:], "DriftRepeated") {
			t.Errorf("want one DriftRepeated: %v", news)
		}
		if slices.Contains(news, "ReconciliationSucceeded") {
			t.Errorf("one success for each revision: %v", news)
		}
	})
}

func TestTakeoverIsNotFought(t *testing.T) {
	inTime(t, func(w *world) {
		installed(w)
		u := w.cluster.objects[cm("a")]
		labels := u.GetLabels()
		labels["kustomize.toolkit.fluxcd.io/name"] = "other"
		u.SetLabels(labels)
		w.wake("app")
		w.pass(9 * time.Minute)
		if len(w.cluster.writes) != 0 {
			t.Errorf("writes: %v", w.cluster.writes)
		}
		w.pass(2 * time.Minute)
		if len(w.cluster.writes) != 1 {
			t.Errorf("writes at the interval: %v", w.cluster.writes)
		}
	})
}

func TestSuspended(t *testing.T) {
	inTime(t, func(w *world) {
		m := installed(w)
		m.edit(func(ks *kustomizev1.Kustomization) { ks.Spec.Suspend = true })
		w.pass(time.Second)
		w.cluster.objects[cm("a")].Object["data"] = map[string]any{"v": "mine"}
		w.cluster.verdicts[cm("b")] = broken
		w.publish("v2", map[string]string{"app/a.yaml": configMap("a", "2")})
		w.pass(time.Hour)
		w.expect("app", "Applied revision: v1")
		if m.journal.written() != 0 || len(w.cluster.writes) != 0 {
			t.Error("something happened")
		}
	})
}

func TestArtifactLostForAMoment(t *testing.T) {
	inTime(t, func(w *world) {
		m := installed(w)
		w.absent = true
		w.pass(10*time.Minute + 5*time.Second)
		w.expect("app", "True")
		w.pass(time.Minute)
		w.expect("app", "False ArtifactFailed: Source is not ready, artifact not found, retrying in 30s")
		w.absent = false
		w.pass(time.Minute)
		w.expect("app", "True")
		if n := m.journal.written(); n != 2 {
			t.Errorf("%d writes", n)
		}
	})
}

func TestEmptyBuildIsHeld(t *testing.T) {
	inTime(t, func(w *world) {
		m := installed(w)
		w.publish("v2", map[string]string{"app/README.md": "nothing"})
		w.pass(time.Second)
		w.expect("app", "False EmptyBuild: nothing was found at the path, and pruning would delete 2 objects")
		m.annotate("sluice.dev/allow-empty", "v1")
		w.pass(time.Second)
		w.expect("app", "False EmptyBuild")
		if len(w.cluster.writes) != 0 {
			t.Error(w.cluster.writes)
		}
		m.annotate("sluice.dev/allow-empty", "v2")
		w.pass(time.Second)
		w.expect("app", "Applied revision: v2")
		if len(w.cluster.objects) != 0 {
			t.Error("not pruned")
		}
		w.publish("v3", map[string]string{"app/a.yaml": configMap("a", "1")})
		w.pass(time.Second)
		w.publish("v4", map[string]string{"app/README.md": "nothing"})
		w.pass(time.Second)
		w.expect("app", "False EmptyBuild")
	})
}

func TestSecretsAreMasked(t *testing.T) {
	inTime(t, func(w *world) {
		w.values["Secret/vars"] = map[string]string{"password": "hunter2\"x"}
		w.cluster.refuse[cm("a")] = errInvalid(`spec: Invalid value: "hunter2\"x": no; aHVudGVyMiJ4`)
		w.publish("v1", map[string]string{"app/a.yaml": configMap("a", "${password:=x}")})
		m := w.add("app", func(ks *kustomizev1.Kustomization) {
			ks.Spec.PostBuild = &kustomizev1.PostBuild{SubstituteFrom: []kustomizev1.SubstituteReference{{Kind: "Secret", Name: "vars"}}}
		})
		w.pass(time.Second)
		w.expect("app", "False")
		all := strings.Join(m.journal.lines, "\n") + m.ready()
		for _, n := range m.journal.notices {
			all += n.Message
		}
		if strings.Contains(all, "hunter2") || strings.Contains(all, "aHVudGVyMiJ4") {
			t.Error(all)
		}
	})
}

func TestRequestDuringAWait(t *testing.T) {
	inTime(t, func(w *world) {
		w.publish("v1", map[string]string{"app/a.yaml": configMap("a", "1")})
		m := w.add("app", needs("db"))
		w.pass(time.Second)
		m.annotate(meta.ReconcileRequestAnnotation, "now")
		w.pass(time.Second)
		if got := m.ks.Status.LastHandledReconcileAt; got != "now" {
			t.Errorf("handled %q", got)
		}
	})
}
