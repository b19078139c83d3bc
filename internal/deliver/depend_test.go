package deliver

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
)

// chain publishes a revision for n Kustomizations of one object each.
func (w *world) chain(n int, revision string) {
	files := map[string]string{}
	for i := 1; i <= n; i++ {
		files[fmt.Sprintf("k%d/a.yaml", i)] = configMap(fmt.Sprintf("a%d", i), revision)
	}
	w.publish(revision, files)
}

func (w *world) addChain(n int) {
	for i := n; i >= 1; i-- { // the last first: none is there yet when it looks
		name := fmt.Sprintf("k%d", i)
		if i == 1 {
			w.add(name)
			continue
		}
		w.add(name, needs(fmt.Sprintf("k%d", i-1)))
	}
}

func TestDependencies(t *testing.T) {
	inTime(t, func(w *world) {
		w.cluster.slow = 3 * time.Second
		w.publish("v1", map[string]string{"app/a.yaml": configMap("a", "1"), "db/b.yaml": configMap("b", "1")})
		app := w.add("app", needs("db"))
		w.pass(time.Second)
		w.expect("app", "False DependencyNotReady: dependency 'ns/db' not found")
		w.add("db")
		w.wake("app")
		w.pass(2 * time.Second)
		if len(w.cluster.writes) != 1 {
			t.Errorf("writes before the dependency was ready: %v", w.cluster.writes)
		}
		if n := app.journal.written(); n != 1 {
			t.Errorf("waiting was written %d times", n)
		}
		w.pass(20 * time.Second)
		w.expect("app", "Applied revision: v1")
		if app.reads == 0 && w.members["db"].reads < 2 {
			t.Errorf("the dependency was read live %d times", w.members["db"].reads)
		}
		if news := strings.Join(app.journal.reasons(), " "); news != "DependencyNotReady Progressing Progressing ReconciliationSucceeded" {
			t.Error(news)
		}
	})
}

// Each member starts in the moment in which the one before it is ready.
func TestChainIsAsFastAsItsHealth(t *testing.T) {
	inTime(t, func(w *world) {
		w.cluster.slow = time.Second
		w.chain(6, "v1")
		w.addChain(6)
		begun := time.Now()
		for time.Since(begun) < time.Minute && !strings.HasPrefix(w.members["k6"].ready(), "True") {
			w.pass(100 * time.Millisecond)
		}
		if took := time.Since(begun); took > 6100*time.Millisecond {
			t.Errorf("six seconds of health took %s", took)
		}
		for i := 2; i <= 6; i++ {
			if n := w.members[fmt.Sprint("k", i)].journal.written(); n > 4 {
				t.Errorf("k%d: %d status writes", i, n)
			}
		}
	})
}

func TestCycle(t *testing.T) {
	inTime(t, func(w *world) {
		w.publish("v1", map[string]string{"app/a.yaml": configMap("a", "1")})
		m := w.add("app", needs("app"))
		o := m.occasion()
		o.Cycle = []types.NamespacedName{{Namespace: "ns", Name: "app"}, {Namespace: "ns", Name: "db"}}
		m.delivery.Advance(w.ctx, o)
		w.expect("app", "False DependencyNotReady: dependency cycle: ns/app → ns/db → ns/app; none of these can start")
		if len(w.cluster.writes) > 0 {
			t.Error(w.cluster.writes)
		}
	})
}

// What is delivered is not touched by a dependency that is not Ready any more;
// what has to be written waits for it.
func TestSettledDependentsStayReady(t *testing.T) {
	inTime(t, func(w *world) {
		w.publish("v1", map[string]string{"app/a.yaml": configMap("a", "1"), "db/b.yaml": configMap("b", "1")})
		w.add("db")
		app := w.add("app", needs("db"))
		w.pass(time.Minute)
		w.expect("app", "True")
		app.journal.written()
		w.cluster.verdicts[cm("b")] = broken
		w.wake("db")
		w.pass(time.Hour)
		w.expect("db", "False HealthCheckFailed")
		w.expect("app", "True")
		if n := app.journal.written(); n != 0 {
			t.Errorf("%d status writes", n)
		}
		w.engine.Policy.Reverse = false
		delete(w.cluster.objects, cm("a"))
		w.pass(15 * time.Minute)
		w.expect("app", "False DependencyNotReady: dependency 'ns/db' is not ready: HealthCheckFailed")
		delete(w.cluster.verdicts, cm("b"))
		w.wake("db")
		w.pass(time.Second)
		w.expect("app", "True")
		if w.cluster.objects[cm("a")] == nil {
			t.Error("a is not back")
		}
	})
}

// A push every 2 s for 2 minutes: every member of a chain becomes Ready.
func TestStarvation(t *testing.T) {
	inTime(t, func(w *world) {
		w.cluster.slow = 3 * time.Second
		w.chain(6, "r0")
		w.addChain(6)
		w.pass(time.Minute)
		w.expect("k6", "Applied revision: r0")
		for _, m := range w.members {
			m.journal.written()
		}
		for i := 1; i <= 60; i++ {
			w.chain(6, fmt.Sprintf("r%d", i))
			w.pass(2 * time.Second)
		}
		for name, m := range w.members {
			if !slices.ContainsFunc(m.journal.writes, func(s kustomizev1.KustomizationStatus) bool {
				return apimeta.IsStatusConditionTrue(s.Conditions, meta.ReadyCondition)
			}) {
				t.Errorf("%s was never Ready during two minutes of pushes", name)
			}
		}
		w.pass(time.Minute)
		for name := range w.members {
			w.expect(name, "Applied revision: r60")
		}
	})
}

func TestSupersede(t *testing.T) {
	for _, gate := range []bool{true, false} {
		inTime(t, func(w *world) {
			w.engine.Policy.Supersede = gate
			m := installed(w)
			w.cluster.verdicts[cm("a")] = inProgress
			w.publish("v2", map[string]string{"app/a.yaml": configMap("a", "2"), "app/b.yaml": configMap("b", "1")})
			w.pass(5 * time.Second)
			w.publish("v3", map[string]string{"app/a.yaml": configMap("a", "3"), "app/b.yaml": configMap("b", "1")})
			w.pass(time.Second)
			if got := m.ks.Status.LastAttemptedRevision; (got == "v3") != gate {
				t.Errorf("gate %v: attempted %s", gate, got)
			}
			delete(w.cluster.verdicts, cm("a"))
			w.wake("app")
			w.pass(time.Second)
			w.expect("app", "Applied revision: v3") // also if it had to wait
		})
	}
}

// A stage that is half written is finished: what was deleted to be replaced
// would be missing if the newer revision is not accepted.
func TestHalfWrittenStageIsNotSuperseded(t *testing.T) {
	inTime(t, func(w *world) {
		w.publish("v1", map[string]string{"app/j.yaml": job("j", "one", "")})
		m := w.add("app", func(ks *kustomizev1.Kustomization) { ks.Spec.Force = true })
		w.pass(time.Second)
		id := objectID{Group: "batch", Kind: "Job", Namespace: "ns", Name: "j"}
		w.cluster.lingers[id] = true
		w.publish("v2", map[string]string{"app/j.yaml": job("j", "two", "")})
		w.pass(time.Second)
		w.publish("v3", map[string]string{"app/j.yaml": job("j", "three", "")})
		w.pass(time.Second)
		if got := m.ks.Status.LastAttemptedRevision; got != "v2" {
			t.Errorf("attempted %s", got)
		}
		w.cluster.lingers = map[objectID]bool{}
		w.cluster.gone(id)
		w.pass(3 * time.Second)
		w.expect("app", "Applied revision: v3")
		if len(w.cluster.jobRuns) != 3 {
			t.Errorf("runs: %v", w.cluster.jobRuns)
		}
	})
}
