package cluster_test

import (
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/internal/cluster"
	"github.com/sluice-dev/sluice/internal/object"
	"github.com/sluice-dev/sluice/internal/plan"
)

// What may be replaced is decided by the API server's own answers.
func TestReplaceable(t *testing.T) {
	job := func(image, more string) string {
		return `{apiVersion: batch/v1, kind: Job, metadata: {name: x, namespace: NS}, spec: {template: {spec: {restartPolicy: Never` + more + `, containers: [{name: x, image: "` + image + `"}]}}}}`
	}
	deployment := func(selector, image string) string {
		return `{apiVersion: apps/v1, kind: Deployment, metadata: {name: x, namespace: NS}, spec: {replicas: 0, selector: {matchLabels: {app: ` + selector + `}}, template: {metadata: {labels: {app: ` + selector + `}}, spec: {containers: [{name: x, image: "` + image + `"}]}}}}`
	}
	statefulSet := func(service string) string {
		return `{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: x, namespace: NS}, spec: {replicas: 0, serviceName: ` + service + `, selector: {matchLabels: {app: x}}, template: {metadata: {labels: {app: x}}, spec: {containers: [{name: x, image: "x"}]}}}}`
	}
	tests := []struct {
		name, before, after string
		replaceable         bool
	}{
		{"template of a Job", job("a", ""), job("b", ""), true},
		{"selector of a Deployment", deployment("a", "x"), deployment("b", "x"), true},
		{"StatefulSet", statefulSet("a"), statefulSet("b"), true},
		{"clusterIP of a Service",
			"{apiVersion: v1, kind: Service, metadata: {name: x, namespace: NS}, spec: {ports: [{port: 80, protocol: TCP}]}}",
			"{apiVersion: v1, kind: Service, metadata: {name: x, namespace: NS}, spec: {clusterIP: None, ports: [{port: 80, protocol: TCP}]}}", true},
		{"immutable ConfigMap",
			"{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: NS}, immutable: true, data: {a: b}}",
			"{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: NS}, immutable: true, data: {a: c}}", true},
		{"type of a Secret",
			"{apiVersion: v1, kind: Secret, metadata: {name: x, namespace: NS}, type: a/b}",
			"{apiVersion: v1, kind: Secret, metadata: {name: x, namespace: NS}, type: c/d}", true},
		{"roleRef of a RoleBinding",
			"{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: x, namespace: NS}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: a}}",
			"{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: x, namespace: NS}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: b}}", true},
		{"claim",
			"{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: x, namespace: NS}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}",
			"{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: x, namespace: NS}, spec: {accessModes: [ReadOnlyMany], resources: {requests: {storage: 1Gi}}}}", true},
		{"a Pod",
			"{apiVersion: v1, kind: Pod, metadata: {name: x, namespace: NS}, spec: {containers: [{name: x, image: x}]}}",
			"{apiVersion: v1, kind: Pod, metadata: {name: x, namespace: NS}, spec: {hostNetwork: true, containers: [{name: x, image: x}]}}", true},
		{"a validation error is a mistake",
			"{apiVersion: v1, kind: Service, metadata: {name: x, namespace: NS}, spec: {ports: [{port: 80, protocol: TCP}]}}",
			"{apiVersion: v1, kind: Service, metadata: {name: x, namespace: NS}, spec: {ports: [{port: 70000, protocol: TCP}]}}", false},
		{"a mistake beside what is immutable", job("a", ""), job("b", `, terminationGracePeriodSeconds: -1, dnsPolicy: nonsense`), false},
		{"a type error",
			deployment("a", "x"),
			`{apiVersion: apps/v1, kind: Deployment, metadata: {name: x, namespace: NS}, spec: {replicas: "many"}}`, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := enter(t)
			target := w.target(cluster.Identity{})
			w.deliver(target, plan.Rules{}, w.object(test.before))
			after := w.object(test.after)
			live := one(w, w.observe(target, after), after)
			if live.Refused == nil || live.Failed != nil || live.Object == nil {
				t.Fatalf("not refused: %+v", live)
			}
			if live.Replaceable != test.replaceable {
				t.Errorf("replaceable %v, because of: %v", live.Replaceable, live.Refused)
			}
			if w.live(after).GetUID() != live.Object.GetUID() {
				t.Error("looking replaced it")
			}
		})
	}
}

// Replacing deletes; the end of the object wakes the owner, who creates it.
func TestReplacing(t *testing.T) {
	w := enter(t)
	target := w.target(cluster.Identity{})
	immutable := func(value string) *unstructured.Unstructured {
		return w.object("{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: NS}, immutable: true, data: {a: " + value + "}}")
	}
	w.deliver(target, plan.Rules{}, immutable("b"))
	before := w.live(immutable("b")).GetUID()
	if got := actions(w.deliver(target, plan.Rules{Force: true}, immutable("c"))); got != "ConfigMap replace" {
		t.Fatal(got)
	}
	w.eventually("the owner to be woken", func() bool { return w.woken.of(w.owner) > 0 })
	if got := actions(w.deliver(target, plan.Rules{Force: true}, immutable("c"))); got != "ConfigMap create" {
		t.Fatal(got)
	}
	if live := w.live(immutable("c")); live.GetUID() == before || live.Object["data"].(map[string]any)["a"] != "c" {
		t.Errorf("%v", live)
	}
}

// kubectl's fields are taken over, as Flux does.
func TestAdoption(t *testing.T) {
	w := enter(t)
	target := w.target(cluster.Identity{})
	u := w.configMap("a", "1")
	theirs := u.DeepCopy()
	theirs.SetLabels(nil)
	theirs.Object["data"] = map[string]any{"key": "0", "old": "x"}
	raw, err := theirs.MarshalJSON()
	w.must(err)
	theirs.SetAnnotations(map[string]string{"kubectl.kubernetes.io/last-applied-configuration": string(raw)})
	w.must(w.client.Create(t.Context(), theirs, kubectl))
	p := w.deliver(target, plan.Rules{}, u)
	step := p.Stages[0].Steps[0]
	if step.Action != plan.Update || len(step.Cleanup) == 0 {
		t.Fatalf("%s, clean-up %s", actions(p), step.Cleanup)
	}
	live := w.live(u)
	if data := live.Object["data"].(map[string]any); data["key"] != "1" || data["old"] != nil {
		t.Errorf("data %v", data)
	}
	for _, entry := range live.GetManagedFields() {
		if entry.Manager != plan.Manager {
			t.Errorf("%s still owns fields", entry.Manager)
		}
	}
	if !one(w, w.observe(target, u), u).Converged {
		t.Error("not as wanted afterwards")
	}
	// A clean-up of another version than was looked at is a conflict.
	if _, err := target.Apply(t.Context(), step); !apierrors.IsConflict(err) {
		t.Errorf("applied to another version: %v", err)
	}
}

func TestNamespaces(t *testing.T) {
	w := enter(t)
	target := w.target(cluster.Identity{})
	without := w.object("{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}")
	within := w.object("{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: NS, namespace: NS}, rules: []}")
	t.Cleanup(func() { background(w, within) })
	live := w.observe(target, without, within)
	if err := one(w, live, without).Refused; !errors.Is(err, cluster.ErrNamespace) {
		t.Errorf("without a namespace: %v", err)
	}
	w.deliver(target, plan.Rules{}, within)
	if l := one(w, w.observe(target, within), within); !l.Converged {
		t.Errorf("cluster-scoped: %+v", l)
	}
	elsewhere := w.configMap("x", "1")
	elsewhere.SetNamespace("nowhere-" + w.namespace)
	if l := one(w, w.observe(target, elsewhere), elsewhere); l.Object != nil || l.Failed != nil || l.Refused != nil {
		t.Errorf("in a namespace that is not there: %+v", l)
	}
	_, err := target.Apply(t.Context(), plan.Step{ID: object.IDOf(elsewhere), Action: plan.Create, Send: elsewhere})
	if !apierrors.IsNotFound(err) {
		t.Errorf("applied: %v", err)
	}
}
