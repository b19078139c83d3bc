package deliver

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// stories are what is going on when the process dies.
var stories = map[string]func(w *world){
	"install": func(w *world) {
		w.publish("v1", map[string]string{
			"app/ns.yaml": "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: ns\n",
			"app/a.yaml":  configMap("a", "1"), "app/b.yaml": configMap("b", "1"), "app/j.yaml": job("j", "one", ttl),
		})
		w.add("app")
		w.pass(3 * time.Minute)
	},
	"upgrade with prune": func(w *world) {
		w.publish("v1", map[string]string{"app/a.yaml": configMap("a", "1"), "app/b.yaml": configMap("b", "1"), "app/c.yaml": configMap("c", "1")})
		w.add("app")
		w.pass(3 * time.Minute)
		w.publish("v2", map[string]string{"app/a.yaml": configMap("a", "2"), "app/d.yaml": configMap("d", "1")})
		w.pass(3 * time.Minute)
	},
	"replace": func(w *world) {
		w.publish("v1", map[string]string{"app/j.yaml": job("j", "one", ""), "app/a.yaml": configMap("a", "1")})
		w.add("app", func(ks *kustomizev1.Kustomization) { ks.Spec.Force = true })
		w.pass(3 * time.Minute)
		w.publish("v2", map[string]string{"app/j.yaml": job("j", "two", ""), "app/a.yaml": configMap("a", "2")})
		w.pass(3 * time.Minute)
	},
	"chain": func(w *world) {
		w.chain(3, "v1")
		w.addChain(3)
		w.pass(3 * time.Minute)
		w.chain(3, "v2")
		w.pass(3 * time.Minute)
	},
	"move": func(w *world) {
		w.publish("v1", map[string]string{"one/a.yaml": configMap("a", "1"), "one/b.yaml": configMap("b", "1"), "two/c.yaml": configMap("c", "1")})
		w.add("one")
		w.add("two")
		w.pass(3 * time.Minute)
		w.publish("v2", map[string]string{"one/b.yaml": configMap("b", "1"), "two/c.yaml": configMap("c", "1"), "two/a.yaml": configMap("a", "1")})
		w.pass(15 * time.Minute)
	},
	"delete": func(w *world) {
		w.publish("v1", map[string]string{"app/a.yaml": configMap("a", "1"), "app/b.yaml": configMap("b", "1")})
		m := w.add("app", func(ks *kustomizev1.Kustomization) {
			ks.Spec.DeletionPolicy = kustomizev1.DeletionPolicyWaitForTermination
		})
		w.pass(3 * time.Minute)
		now := metav1.Now()
		m.edit(func(ks *kustomizev1.Kustomization) { ks.DeletionTimestamp = &now })
		w.pass(3 * time.Minute)
	},
}

// Killed at every call to the outside, before or after it had its effect, and
// started again: the end is that of an undisturbed run. The world checks at
// every call that nothing is untracked.
func TestKilledAnywhere(t *testing.T) {
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			var want []string
			var runs map[string]int
			calls := 0
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.cluster.slow = 2 * time.Second
				story(w)
				want, runs, calls = w.report(), w.cluster.jobRuns, w.calls
			})
			if calls < 10 {
				t.Fatalf("only %d calls", calls)
			}
			for i := range 2 * calls {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					w.cluster.slow = 2 * time.Second
					w.crash, w.after, w.revive = i/2+1, i%2 == 1, true
					story(w)
					if diff := cmp.Diff(want, w.report()); diff != "" {
						t.Errorf("killed at call %d, after it: %v:\n%s", w.crash, w.after, diff)
					}
					if diff := cmp.Diff(runs, w.cluster.jobRuns); diff != "" {
						t.Errorf("killed at call %d, after it: %v: runs of Jobs:\n%s", w.crash, w.after, diff)
					}
				})
				if t.Failed() {
					return
				}
			}
		})
	}
}

// An object that moves from one Kustomization to another is never deleted,
// whoever comes first.
func TestMovedObjectIsNeverDeleted(t *testing.T) {
	for _, first := range []string{"one", "two"} {
		inTime(t, func(w *world) {
			w.pick = func(n int) int { return map[string]int{"one": 0, "two": n - 1}[first] }
			stories["move"](w)
			for _, write := range w.cluster.writes {
				if write == "delete ConfigMap/ns/a" {
					t.Errorf("%s first: %v", first, w.cluster.writes)
				}
			}
			w.expect("one", "True")
			w.expect("two", "True")
			if owner := w.cluster.objects[cm("a")].GetLabels()["kustomize.toolkit.fluxcd.io/name"]; owner != "two" {
				t.Errorf("%s first: it belongs to %s", first, owner)
			}
		})
	}
}

func TestJobsThatRemoveThemselves(t *testing.T) {
	inTime(t, func(w *world) {
		runs := func() int {
			n := 0
			for k := range maps.Values(w.cluster.jobRuns) {
				n += k
			}
			return n
		}
		w.publish("v1", map[string]string{"app/j.yaml": job("j", "one", ttl), "app/a.yaml": configMap("a", "1")})
		w.add("app")
		w.pass(time.Hour)
		w.expect("app", "Applied revision: v1")
		w.publish("v2", map[string]string{"app/j.yaml": job("j", "one", ttl), "app/a.yaml": configMap("a", "2")})
		w.pass(time.Hour)
		w.expect("app", "Applied revision: v2")
		w.restart()
		w.pass(time.Hour)
		if runs() != 1 {
			t.Errorf("the same Job ran: %v", w.cluster.jobRuns)
		}
		w.publish("v3", map[string]string{"app/j.yaml": job("j", "two", ttl), "app/a.yaml": configMap("a", "2")})
		w.pass(time.Hour)
		if runs() != 2 {
			t.Errorf("a changed Job ran: %v", w.cluster.jobRuns)
		}
		// It fails for another reason, and is tried again.
		w.cluster.verdicts[cm("a")] = broken
		w.publish("v4", map[string]string{"app/j.yaml": job("j", "four", ttl), "app/a.yaml": configMap("a", "2")})
		w.pass(time.Hour)
		w.expect("app", "False HealthCheckFailed")
		if runs() != 3 {
			t.Errorf("a Job of a roll-out that failed ran: %v", w.cluster.jobRuns)
		}
		delete(w.cluster.verdicts, cm("a"))
		w.pass(time.Hour)
		w.expect("app", "Applied revision: v4")
		// Health comes back without a roll-out; what ran is still known.
		w.cluster.verdicts[cm("a")] = broken
		w.wake("app")
		w.pass(time.Second)
		delete(w.cluster.verdicts, cm("a"))
		w.wake("app")
		w.pass(time.Second)
		w.publish("v5", map[string]string{"app/j.yaml": job("j", "four", ttl), "app/a.yaml": configMap("a", "5")})
		w.pass(time.Hour)
		w.expect("app", "Applied revision: v5")
		if runs() != 3 {
			t.Errorf("the same Job ran again: %v", w.cluster.jobRuns)
		}
	})
}

func TestRemovalNamesWhatStays(t *testing.T) {
	inTime(t, func(w *world) {
		m := installed(w)
		w.cluster.lingers[cm("a")] = true
		now := metav1.Now()
		m.edit(func(ks *kustomizev1.Kustomization) {
			ks.DeletionTimestamp = &now
			ks.Spec.DeletionPolicy = kustomizev1.DeletionPolicyWaitForTermination
		})
		w.pass(time.Second)
		w.restart() // it has been asked to go by another process
		w.pass(20 * time.Second)
		if m.gone {
			t.Fatal("it did not wait")
		}
		w.pass(20 * time.Second)
		if !m.gone {
			t.Fatal("it waits for ever")
		}
		want := "failed to wait for resources termination: \nConfigMap/ns/a held by a finalizer"
		if !slices.ContainsFunc(m.journal.notices, noticeOf(want)) {
			t.Errorf("notices: %v", m.journal.notices)
		}
	})
}

func TestRemovalTellsWhatWasDeleted(t *testing.T) {
	for _, policy := range []string{kustomizev1.DeletionPolicyMirrorPrune, kustomizev1.DeletionPolicyOrphan} {
		inTime(t, func(w *world) {
			m := installed(w)
			now := metav1.Now()
			m.edit(func(ks *kustomizev1.Kustomization) { ks.DeletionTimestamp, ks.Spec.DeletionPolicy = &now, policy })
			w.pass(time.Second)
			orphaned := policy == kustomizev1.DeletionPolicyOrphan
			told := slices.ContainsFunc(m.journal.notices, noticeOf("ConfigMap/ns/b deleted\nConfigMap/ns/a deleted"))
			if !m.gone || told == orphaned || (len(w.cluster.objects) == 2) != orphaned {
				t.Errorf("%s: gone %v, objects %v, notices %v", policy, m.gone, len(w.cluster.objects), fmt.Sprint(m.journal.notices))
			}
		})
	}
}
