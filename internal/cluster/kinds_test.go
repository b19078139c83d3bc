package cluster_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/kustomize"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/internal/cluster"
	"github.com/sluice-dev/sluice/internal/deliver"
	"github.com/sluice-dev/sluice/internal/health"
	"github.com/sluice-dev/sluice/internal/object"
	"github.com/sluice-dev/sluice/internal/plan"
)

// definition is a kind of the test's own.
func (w *world) definition() (crd *unstructured.Unstructured, group string) {
	group = w.namespace + ".example.com"
	crd = w.object(fmt.Sprintf(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.%[1]s}
spec:
  group: %[1]s
  scope: Namespaced
  names: {plural: things, singular: thing, kind: Thing, listKind: ThingList}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}
`, group))
	w.Cleanup(func() { background(w, crd) })
	return crd, group
}

func TestDefinitionThenObject(t *testing.T) {
	w := enter(t)
	target := w.target(cluster.Identity{})
	crd, group := w.definition()
	thing := w.object("{apiVersion: " + group + "/v1, kind: Thing, metadata: {name: x, namespace: NS}, spec: {size: 1}}")
	beside := w.configMap("a", "1")

	live := w.observe(target, crd, thing, beside)
	if l := one(w, live, thing); !l.Unserved || !meta.IsNoMatchError(l.Refused) {
		t.Fatalf("before: %+v", l)
	}
	if l := one(w, live, beside); l.Unserved || l.Failed != nil {
		t.Errorf("the others have to proceed: %+v", l)
	}
	unserved, err := target.Kinds(t.Context(), []*unstructured.Unstructured{crd, thing, beside})
	w.must(err)
	if len(unserved) != 1 || unserved[object.IDOf(thing)] == nil {
		t.Errorf("unserved: %v", unserved)
	}
	w.deliver(target, plan.Rules{}, crd)
	w.eventually("the owner to be woken by a kind that is served", func() bool { return w.woken.of(w.owner) > 0 })
	w.eventually("the kind", func() bool { return !one(w, w.observe(target, thing), thing).Unserved })
	w.deliver(target, plan.Rules{}, crd, thing)
	for id, l := range w.observe(target, crd, thing) {
		if !l.Converged {
			t.Errorf("%s is not as wanted: %+v", id, l)
		}
	}

	// A field that the kind does not have is a mistake, not a failure.
	wrong := thing.DeepCopy()
	w.must(unstructured.SetNestedField(wrong.Object, "x", "spec", "nonsense"))
	if l := one(w, w.observe(target, wrong), wrong); l.Refused == nil || !strings.Contains(l.Refused.Error(), "not declared in schema") {
		t.Errorf("unknown field: %+v", l)
	}

	// The kind goes, and its objects with it.
	woken := w.woken.of(w.owner)
	background(w, crd)
	w.eventually("the owner to be woken", func() bool { return w.woken.of(w.owner) > woken })
	w.eventually("the kind to go", func() bool { return one(w, w.observe(target, thing), thing).Unserved })
	verdicts, err := target.Judge(t.Context(), w.owner, []deliver.Check{{ID: object.IDOf(thing), Version: "v1"}}, nil)
	w.must(err)
	if v := verdicts[object.IDOf(thing)]; v.Status != health.NotFound || !strings.Contains(v.Message, "no matches for kind") {
		t.Errorf("verdict %+v", v)
	}
}

// A group whose server is dead fails only its own objects.
func TestDeadServerBehindTheServer(t *testing.T) {
	w := enter(t)
	target := w.target(cluster.Identity{})
	group := w.namespace + ".dead.example.com"
	service := w.object(fmt.Sprintf(`
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.%[1]s}
spec: {group: %[1]s, version: v1, groupPriorityMinimum: 100, versionPriority: 100, insecureSkipTLSVerify: true, service: {name: nobody, namespace: NS}}
`, group))
	w.must(w.client.Create(t.Context(), service.DeepCopy()))
	t.Cleanup(func() { background(w, service) })
	thing := w.object("{apiVersion: " + group + "/v1, kind: Thing, metadata: {name: x, namespace: NS}}")
	beside := w.configMap("a", "1")
	w.eventually("the group to fail", func() bool {
		live := w.observe(w.target(cluster.Identity{}), thing, beside)
		if l := one(w, live, beside); l.Failed != nil || l.Unserved {
			t.Fatalf("others fail with it: %+v", l)
		}
		l := one(w, live, thing)
		return l.Failed != nil && !l.Unserved
	})
	_ = target
}

// Expressions judge what the watch brings, after one look.
func TestExpressionsJudgeFromTheWatch(t *testing.T) {
	w := enter(t)
	target := w.target(cluster.Identity{})
	rules, err := health.Compile([]kustomize.CustomHealthCheck{{
		APIVersion: "v1", Kind: "ConfigMap",
		HealthCheckExpressions: kustomize.HealthCheckExpressions{Current: "has(data.theirs)", InProgress: "!has(data.theirs)"},
	}})
	w.must(err)
	u := w.configMap("a", "1")
	w.deliver(target, plan.Rules{}, u)
	check := []deliver.Check{{ID: object.IDOf(u), Version: "v1"}}
	judge := func() health.Status {
		verdicts, err := target.Judge(t.Context(), w.owner, check, rules)
		w.must(err)
		return verdicts[check[0].ID].Status
	}
	if got := judge(); got != health.InProgress {
		t.Fatal(got)
	}
	w.requests.reset()
	w.patch(u, `{"data":{"theirs":"x"}}`)
	w.eventually("the owner to be woken", func() bool { return w.woken.of(w.owner) > 0 })
	if got := judge(); got != health.Current {
		t.Error(got)
	}
	if made := w.requests.matching("configmaps"); len(made) > 0 {
		t.Errorf("requests: %q", made)
	}
	// An update of ours is judged by the same expressions.
	w.deliver(target, plan.Rules{}, w.configMap("a", "2"))
	if got := judge(); got != health.Current {
		t.Error(got)
	}
}
