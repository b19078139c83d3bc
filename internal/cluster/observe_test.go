package cluster_test

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/internal/cluster"
	"github.com/sluice-dev/sluice/internal/deliver"
	"github.com/sluice-dev/sluice/internal/health"
	"github.com/sluice-dev/sluice/internal/object"
	"github.com/sluice-dev/sluice/internal/plan"
)

func (w *world) deployment(replicas string) *unstructured.Unstructured {
	return w.object(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: NS}
spec:
  replicas: ` + replicas + `
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      containers:
      - name: app
        image: app:1
        resources: {requests: {cpu: 1000m}}
        ports: [{containerPort: 80}]
`)
}

func (w *world) want() []*unstructured.Unstructured {
	return []*unstructured.Unstructured{
		w.deployment("1"),
		w.configMap("settings", "1"),
		w.object("{apiVersion: v1, kind: Secret, metadata: {name: keys, namespace: NS}, data: {key: dmFsdWU=}}"),
		w.object("{apiVersion: v1, kind: Service, metadata: {name: app, namespace: NS}, spec: {selector: {app: app}, ports: [{port: 80, protocol: TCP}]}}"),
	}
}

func TestWhatIsKnownCostsNoRequest(t *testing.T) {
	w := enter(t)
	target := w.target(cluster.Identity{})
	p := w.deliver(target, plan.Rules{}, w.want()...)
	if got, want := actions(p), "ConfigMap create, Secret create, Service create, Deployment create"; got != want {
		t.Fatalf("first: %s, want %s", got, want)
	}
	w.requests.reset()
	again := w.target(cluster.Identity{})
	for id, live := range w.observe(again, w.want()...) {
		if !live.Converged {
			t.Errorf("%s is not known to be as wanted", id)
		}
	}
	if made := w.requests.matching("/" + w.namespace + "/"); len(made) > 0 {
		t.Errorf("requests were made: %q", made)
	}

	// Another process learns it by one list of each kind, and for what the server
	// writes differently ("1000m") by one dry-run.
	other := enter(t)
	other.namespace, other.owner = w.namespace, w.owner
	fresh := other.target(cluster.Identity{})
	first := other.observe(fresh, w.want()...)
	for id, live := range first {
		if !live.Converged && id.Kind != "Deployment" {
			t.Errorf("after a restart, %s is not known to be as wanted", id)
		}
	}
	other.requests.reset()
	for id, live := range other.observe(fresh, w.want()...) {
		if !live.Converged {
			t.Errorf("after a dry-run without a difference, %s is not known to be as wanted", id)
		}
	}
	if made := other.requests.matching("/" + w.namespace + "/"); len(made) > 0 {
		t.Errorf("requests were made: %q", made)
	}
}

func TestChangesWakeTheOwner(t *testing.T) {
	tests := []struct {
		name   string
		change func(w *world, u *unstructured.Unstructured)
		want   plan.Action
	}{
		{"drift", func(w *world, u *unstructured.Unstructured) { w.patch(u, `{"data":{"key":"drifted"}}`) }, plan.Update},
		{"the label is removed", func(w *world, u *unstructured.Unstructured) {
			w.patch(u, `{"metadata":{"labels":{"kustomize.toolkit.fluxcd.io/name":null}}}`)
		}, plan.Update},
		{"deletion", func(w *world, u *unstructured.Unstructured) { background(w, u) }, plan.Create},
		{"opting out", func(w *world, u *unstructured.Unstructured) {
			w.patch(u, `{"metadata":{"annotations":{"kustomize.toolkit.fluxcd.io/reconcile":"disabled"}}}`)
		}, plan.Skip},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := enter(t)
			target := w.target(cluster.Identity{})
			u, beside := w.configMap("a", "1"), w.configMap("b", "1")
			w.deliver(target, plan.Rules{}, u, beside)
			if woken := w.woken.of(w.owner); woken != 0 {
				t.Errorf("our own writes woke %d times", woken)
			}
			test.change(w, u)
			w.eventually("the owner to be woken", func() bool { return w.woken.of(w.owner) > 0 })
			quiet := w.ask(target, deliver.Ask{Want: []*unstructured.Unstructured{u, beside}, Quiet: true})
			if one(w, quiet, beside).Converged != true || quiet[object.IDOf(u)].Converged {
				t.Errorf("quietly: %+v", quiet)
			}
			p := w.deliver(target, plan.Rules{}, u, beside)
			if p.Stages[0].Steps[0].Action != test.want || p.Stages[0].Steps[1].Action != plan.Keep {
				t.Errorf("then: %s", actions(p))
			}
			if test.want == plan.Skip {
				return
			}
			if live := w.live(u); live == nil || live.Object["data"].(map[string]any)["key"] != "1" {
				t.Errorf("not repaired: %v", live)
			}
			for id, live := range w.observe(target, u, beside) {
				if !live.Converged {
					t.Errorf("%s is not as wanted afterwards", id)
				}
			}
		})
	}
}

// What others write into fields of their own is nobody's business.
func TestForeignFieldsWakeNobody(t *testing.T) {
	w := enter(t)
	target := w.target(cluster.Identity{})
	u, last := w.configMap("a", "1"), w.configMap("b", "1")
	w.deliver(target, plan.Rules{}, u, last)
	w.patch(u, `{"data":{"theirs":"x"},"metadata":{"annotations":{"theirs":"y"}}}`)
	w.patch(last, `{"data":{"key":"drifted"}}`) // the watch has seen the first when it tells of this
	w.eventually("the second change", func() bool { return w.woken.of(w.owner) > 0 })
	if woken := w.woken.of(w.owner); woken != 1 {
		t.Errorf("woken %d times, want 1", woken)
	}
	if live := w.observe(target, u); !one(w, live, u).Converged {
		t.Error("not as wanted any more")
	}
}

func TestVerificationIsOneListForAll(t *testing.T) {
	w := enter(t)
	target := w.target(cluster.Identity{})
	u := w.configMap("a", "1")
	w.deliver(target, plan.Rules{}, u)
	w.requests.reset()
	since := time.Now()
	cluster.Each(8, 8, func(int) {
		live, err := w.target(cluster.Identity{}).Observe(t.Context(), deliver.Ask{Owner: w.owner, Want: []*unstructured.Unstructured{u}, Since: since})
		if err != nil || !live[object.IDOf(u)].Converged {
			t.Errorf("%v %v", live, err)
		}
	})
	if made := w.requests.matching("GET", "configmaps"); len(made) != 1 {
		t.Errorf("requests: %q", made)
	}
}

func TestHealthComesFromTheWatch(t *testing.T) {
	w := enter(t)
	target := w.target(cluster.Identity{})
	u := w.deployment("1")
	w.deliver(target, plan.Rules{}, u)
	checks := []deliver.Check{{ID: object.IDOf(u), Version: "v1"}}
	judge := func() health.Verdict {
		verdicts, err := target.Judge(t.Context(), w.owner, checks, nil)
		w.must(err)
		return verdicts[checks[0].ID]
	}
	if v := judge(); v.Status != health.InProgress {
		t.Errorf("right after the apply: %+v", v)
	}
	w.requests.reset()
	woken := 0
	w.eventually("health", func() bool {
		if now := w.woken.of(w.owner); now > woken {
			woken = now
			return judge().Status == health.Current
		}
		return false
	})
	if made := w.requests.matching("deployments"); len(made) > 0 {
		t.Errorf("requests were made: %q", made)
	}
}

// An object without our label is watched by its name.
func TestOthersHealthWakesTheAsker(t *testing.T) {
	w := enter(t)
	target := w.target(cluster.Identity{})
	u := w.deployment("1")
	u.SetLabels(nil)
	checks := []deliver.Check{{ID: object.IDOf(u), Version: "v1"}}
	judge := func() health.Status {
		verdicts, err := target.Judge(t.Context(), w.owner, checks, nil)
		w.must(err)
		return verdicts[checks[0].ID].Status
	}
	if got := judge(); got != health.NotFound {
		t.Fatalf("before it is there: %s", got)
	}
	w.must(w.client.Create(t.Context(), u))
	woken := 0
	w.eventually("health", func() bool {
		if now := w.woken.of(w.owner); now > woken {
			woken = now
			return judge() == health.Current
		}
		return false
	})
	w.requests.reset()
	judge()
	if made := w.requests.matching("deployments"); len(made) > 0 {
		t.Errorf("requests were made: %q", made)
	}
	background(w, u)
	w.eventually("the deletion", func() bool { return w.woken.of(w.owner) > woken && judge() == health.NotFound })
}

func TestOptedOutIsNotTried(t *testing.T) {
	w := enter(t)
	target := w.target(cluster.Identity{})
	u := w.configMap("a", "1")
	w.deliver(target, plan.Rules{}, u)
	w.patch(u, `{"metadata":{"annotations":{"kustomize.toolkit.fluxcd.io/ssa":"Ignore"}}}`)
	w.requests.reset()
	w.eventually("the opting out", func() bool {
		l := one(w, w.observe(target, u), u)
		return l.Object != nil && l.Merged == nil
	})
	if made := w.requests.matching("PATCH"); len(made) > 0 {
		t.Errorf("requests: %q", made)
	}
}

// A mistake in a new object must be seen before anything else is written.
func TestNewObjectsAreTriedBesideOthers(t *testing.T) {
	w := enter(t)
	target := w.target(cluster.Identity{})
	first := w.configMap("a", "1")
	wrong := w.object("{apiVersion: v1, kind: Service, metadata: {name: wrong, namespace: NS}, spec: {ports: [{port: 70000}]}}")
	if live := w.observe(target, first, wrong); one(w, live, wrong).Refused != nil {
		t.Error("nothing is there yet: the new object need not be tried")
	}
	w.deliver(target, plan.Rules{}, first)
	changed := w.configMap("a", "2")
	live := w.observe(target, changed, wrong)
	if one(w, live, wrong).Refused == nil || one(w, live, wrong).Object != nil {
		t.Errorf("not seen: %+v", one(w, live, wrong))
	}
	if live := w.observe(target, first, wrong); one(w, live, wrong).Refused != nil {
		t.Error("it is the only change: the apply itself tells")
	}
}

func TestStaleObjects(t *testing.T) {
	w := enter(t)
	target := w.target(cluster.Identity{})
	u := w.configMap("a", "1")
	w.deliver(target, plan.Rules{}, u)
	there := deliver.Check{ID: object.IDOf(u), Version: "v1"}
	gone := there
	gone.Name = "gone"
	kindless := deliver.Check{ID: object.ID{Group: "nobody.example", Kind: "Thing", Namespace: w.namespace, Name: "x"}, Version: "v1"}
	oldVersion := deliver.Check{ID: object.ID{Group: "apps", Kind: "Deployment", Namespace: w.namespace, Name: "x"}, Version: "v1beta1"}
	live := w.ask(target, deliver.Ask{Stale: []deliver.Check{there, gone, kindless, oldVersion}})
	if live[there.ID].Object == nil {
		t.Error("an object that is there was not found")
	}
	for _, check := range []deliver.Check{gone, kindless, oldVersion} {
		if l, found := live[check.ID]; !found || l.Object != nil || l.Failed != nil || l.Unserved {
			t.Errorf("%s: %+v", check.ID, l)
		}
	}
	step := plan.Step{ID: there.ID, Version: "v1", Action: plan.Delete, UID: "somebody-else"}
	w.must(target.Delete(t.Context(), step))
	if w.live(u) == nil {
		t.Fatal("an object with another UID was deleted")
	}
	step.UID = string(live[there.ID].Object.GetUID())
	w.must(target.Delete(t.Context(), step))
	w.must(target.Delete(t.Context(), step))
	if w.live(u) != nil {
		t.Error("not deleted")
	}
	step.ID = kindless.ID
	w.must(target.Delete(t.Context(), step))
}
