package cluster_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	"github.com/sluice-dev/sluice/internal/cluster"
	"github.com/sluice-dev/sluice/internal/deliver"
	"github.com/sluice-dev/sluice/internal/health"
	"github.com/sluice-dev/sluice/internal/object"
	"github.com/sluice-dev/sluice/internal/plan"
)

// account makes a ServiceAccount with rights in the namespace.
func (w *world) account(name, verbs string) string {
	w.Helper()
	for _, text := range []string{
		"{apiVersion: v1, kind: ServiceAccount, metadata: {name: " + name + ", namespace: NS}}",
		"{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: " + name + ", namespace: NS}, rules: [{apiGroups: ['', apps], resources: [configmaps, deployments], verbs: [" + verbs + "]}]}",
		"{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: " + name + ", namespace: NS}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: " + name + "}, subjects: [{kind: ServiceAccount, name: " + name + ", namespace: NS}]}",
	} {
		u := w.object(text)
		u.SetLabels(nil)
		w.must(w.client.Create(w.Context(), u))
	}
	user := "system:serviceaccount:" + w.namespace + ":" + name
	target := w.target(cluster.Identity{ServiceAccount: user})
	w.eventually("the rights of "+name, func() bool {
		probe := w.configMap("probe-"+name, "1")
		probe.SetLabels(nil)
		_, err := target.Apply(w.Context(), plan.Step{ID: object.IDOf(probe), Action: plan.Create, Send: probe})
		return err == nil
	})
	return user
}

// What the controller's watch learned is told to those who may read it.
func TestIndexServesThoseWhoMayRead(t *testing.T) {
	w := enter(t)
	reader := w.target(cluster.Identity{ServiceAccount: w.account("reader", "get, patch, create, delete")})
	writer := w.target(cluster.Identity{ServiceAccount: w.account("writer", "patch, create")})
	u := w.configMap("a", "1")
	w.deliver(reader, plan.Rules{}, u)
	w.requests.reset()
	if !one(w, w.observe(reader, u), u).Converged {
		t.Error("the reader does not get what is known")
	}
	if made := w.requests.matching("configmaps"); len(made) > 0 {
		t.Errorf("requests: %q", made)
	}
	if l := one(w, w.observe(writer, u), u); l.Converged || l.Failed == nil || !strings.Contains(l.Failed.Error(), "forbidden") {
		t.Errorf("the writer, who may not read, learned: %+v", l)
	}
	check := []deliver.Check{{ID: object.IDOf(u), Version: "v1"}}
	verdicts, err := writer.Judge(t.Context(), w.owner, check, nil)
	w.must(err)
	if v := verdicts[check[0].ID]; v.Status != health.Unknown {
		t.Errorf("the writer was told a verdict: %+v", v)
	}
	if quiet := w.ask(writer, deliver.Ask{Want: []*unstructured.Unstructured{u}, Quiet: true}); len(quiet) > 0 {
		t.Errorf("the writer was told quietly: %+v", quiet)
	}
	if got := writer.Unwatched(); len(got) != 1 || !strings.HasPrefix(got[0], "ConfigMap in ") {
		t.Errorf("unwatched: %v", got)
	}
}

// as makes the whole process somebody with few rights.
func as(user *string) func(*cluster.Options) {
	return func(o *cluster.Options) { o.Base.Impersonate = rest.ImpersonationConfig{UserName: *user} }
}

func TestWatchFallsBackToTheNamespace(t *testing.T) {
	setup := enter(t)
	all, few := setup.account("all", "'*'"), setup.account("few", "get, patch, create, delete")
	for _, test := range []struct {
		name    string
		user    string
		watched bool
	}{{"a watch of the namespace", all, true}, {"no watch at all", few, false}} {
		t.Run(test.name, func(t *testing.T) {
			w := enter(t, as(&test.user))
			w.namespace, w.owner = setup.namespace, plan.Owner{Namespace: setup.namespace, Name: strings.ReplaceAll(t.Name()[len("TestWatchFallsBackToTheNamespace/"):], "_", "-")}
			target := w.target(cluster.Identity{})
			u := w.configMap(w.owner.Name, "1")
			w.deliver(target, plan.Rules{}, u)
			live := one(w, w.observe(target, u), u)
			if got := live.Converged; got != test.watched {
				t.Errorf("known without asking: %v", got)
			}
			if !test.watched && (live.Object == nil || live.Merged == nil) {
				t.Errorf("not asked for: %+v", live)
			}
			if got := len(target.Unwatched()) == 0; got != test.watched {
				t.Errorf("unwatched: %v", target.Unwatched())
			}
			w.patch(u, `{"data":{"key":"drifted"}}`)
			if test.watched {
				w.eventually("the owner to be woken", func() bool { return w.woken.of(w.owner) > 0 })
			}
			if got := actions(w.deliver(target, plan.Rules{}, u)); got != "ConfigMap update" {
				t.Error(got)
			}
			check := []deliver.Check{{ID: object.IDOf(u), Version: "v1"}}
			verdicts, err := target.Judge(t.Context(), w.owner, check, nil)
			w.must(err)
			if v := verdicts[check[0].ID]; v.Status != health.Current {
				t.Errorf("%+v", v)
			}
		})
	}
}
