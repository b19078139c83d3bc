package deliver

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

// upheaval is much at a time: a chain, an object that moves, somebody who
// meddles, an object that is ill for a while, a deletion.
func upheaval(w *world) {
	w.cluster.slow = time.Second
	files := map[string]string{}
	for i := 1; i <= 4; i++ {
		files[fmt.Sprintf("k%d/a.yaml", i)] = configMap(fmt.Sprintf("a%d", i), "1")
	}
	files["k4/moves.yaml"] = configMap("moves", "1")
	files["k1/j.yaml"] = job("j", "one", ttl)
	w.publish("v1", files)
	w.addChain(3)
	k4 := w.add("k4")
	w.add("k5", func(ks *kustomizev1.Kustomization) { ks.Spec.Path = "./k4" }) // shares all with k4
	w.pass(2 * time.Minute)
	k4.edit(func(ks *kustomizev1.Kustomization) { ks.Spec.Suspend = true })
	delete(files, "k4/moves.yaml")
	files["k2/moves.yaml"], files["k3/a.yaml"] = configMap("moves", "1"), configMap("a3", "2")
	w.publish("v2", files)
	w.pass(500 * time.Millisecond)
	w.cluster.verdicts[cm("a2")] = inProgress
	w.publish("v3", files)
	w.cluster.objects[cm("a1")].Object["data"] = map[string]any{"v": "mine"}
	w.wake("k1")
	w.pass(50 * time.Second)
	delete(w.cluster.verdicts, cm("a2"))
	w.wake("k2")
	now := metav1.Now()
	k4.edit(func(ks *kustomizev1.Kustomization) { ks.Spec.Suspend, ks.DeletionTimestamp = false, &now })
	w.pass(30 * time.Minute)
}

// Any order of the same wake-ups, and any number more of them, ends in the same
// state.
func TestAnyOrderEndsTheSame(t *testing.T) {
	var want []string
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		upheaval(w)
		want = w.report()
		for _, name := range []string{"k1", "k2", "k3", "k5"} {
			w.expect(name, "Applied revision: v3")
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		picks := rapid.SliceOfN(rapid.IntRange(0, 100), 1, 50).Draw(rt, "picks")
		wakes := rapid.SliceOfN(rapid.IntRange(0, 600000), 0, 30).Draw(rt, "wakes")
		var got []string
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			i := 0
			w.pick = func(n int) int {
				i++
				return picks[i%len(picks)] % n
			}
			for _, wake := range wakes {
				w.at(time.Now().Add(time.Duration(wake)*time.Millisecond), func() { w.wake(fmt.Sprint("k", 1+wake%5)) })
			}
			upheaval(w)
			got = w.report()
		})
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("another order ends differently:\n%s", diff)
		}
	})
}

// After a failure nothing more is begun; what goes on is finished and told.
func TestFailureSideBySide(t *testing.T) {
	inTime(t, func(w *world) {
		w.engine.Policy.Apply.Concurrent = 4
		files := map[string]string{}
		for i := range 20 {
			files[fmt.Sprintf("app/%d.yaml", i)] = configMap(fmt.Sprintf("c%02d", i), "1")
		}
		w.publish("v1", files)
		w.cluster.fault = func(call string, id objectID) error {
			if call == "apply" && id == cm("c04") {
				return forbidden
			}
			return nil
		}
		m := w.add("app")
		w.pass(time.Second)
		if n := len(w.cluster.writes); n > 8 {
			t.Errorf("%d writes after a failure", n)
		}
		w.expect("app", "False ReconciliationFailed: ConfigMap/ns/c04 apply failed: ")
		w.cluster.fault = nil
		w.pass(time.Minute)
		w.expect("app", "Applied revision: v1")
		if len(m.ks.Status.Inventory.Entries) != 20 || len(w.cluster.objects) != 20 {
			t.Error("not all is there")
		}
	})
}

func TestOutdatedStartsAgain(t *testing.T) {
	inTime(t, func(w *world) {
		m := installed(w)
		once := true
		w.cluster.fault = func(call string, _ objectID) error {
			if call == "observe" && once {
				once = false
				m.ks = m.ks.DeepCopy()
				m.ks.Labels = map[string]string{"somebody": "else"}
				m.touch()
			}
			return nil
		}
		w.publish("v2", map[string]string{"app/a.yaml": configMap("a", "2")})
		w.pass(10 * time.Millisecond)
		if len(w.cluster.writes) != 0 {
			t.Error("written on an outdated object")
		}
		w.pass(time.Second)
		w.expect("app", "Applied revision: v2")
		if m.ks.Labels == nil {
			t.Error("overwritten")
		}
	})
}

func TestTwoOwnersAreSaidOnce(t *testing.T) {
	inTime(t, func(w *world) {
		w.publish("v1", map[string]string{"app/a.yaml": configMap("a", "1")})
		one := w.add("app")
		two := w.add("other", func(ks *kustomizev1.Kustomization) { ks.Spec.Path = "./app" })
		w.pass(2 * time.Hour)
		warned := 0
		for _, m := range []*member{one, two} {
			for _, n := range m.journal.notices {
				if n.Reason == "SharedObject" {
					warned++
				}
			}
		}
		if warned != 2 {
			t.Errorf("%d warnings", warned)
		}
	})
}

func TestDeadlines(t *testing.T) {
	inTime(t, func(w *world) {
		namespace := "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: ns\n"
		w.cluster.verdicts[objectID{Kind: "Namespace", Name: "ns"}] = inProgress
		w.publish("v1", map[string]string{"app/ns.yaml": namespace, "app/a.yaml": configMap("a", "1")})
		w.add("app", func(ks *kustomizev1.Kustomization) { ks.Spec.Timeout.Duration = 5 * time.Minute })
		w.pass(59 * time.Second)
		w.expect("app", "Unknown")
		w.pass(2 * time.Second)
		w.expect("app", "False ReconciliationFailed: timeout waiting for: [Namespace/ns status: 'InProgress']")
		if len(w.cluster.writes) != 1 {
			t.Errorf("writes: %v", w.cluster.writes)
		}
	})
	inTime(t, func(w *world) {
		m := installed(w)
		w.cluster.lingers[cm("a")] = true
		now := metav1.Now()
		w.cluster.objects[cm("a")].SetDeletionTimestamp(&now)
		w.wake("app")
		w.pass(29 * time.Second)
		w.expect("app", "Unknown")
		w.pass(2 * time.Second)
		w.expect("app", "False ReconciliationFailed: timeout waiting for: ConfigMap/ns/a it is being deleted")
		w.cluster.gone(cm("a"))
		w.pass(2 * time.Minute)
		w.expect("app", "True")
		m.journal.written()
	})
}
