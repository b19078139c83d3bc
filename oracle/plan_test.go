package oracle

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/ssa"
	"github.com/fluxcd/pkg/ssa/normalize"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes/scheme"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/internal/diff"
	"github.com/sluice-dev/sluice/internal/labtest"
	"github.com/sluice-dev/sluice/internal/object"
	"github.com/sluice-dev/sluice/internal/plan"
)

// Objects are sorted as Flux sorts them.
func TestApplyOrderIsFluxs(t *testing.T) {
	kinds := slices.Concat(ssa.ReconcileOrder.First, ssa.ReconcileOrder.Last, []string{"Ingress", "Job", "Widget", "MyClass"})
	rapid.Check(t, func(t *rapid.T) {
		var list []*unstructured.Unstructured
		var ids []object.ID
		for range rapid.IntRange(0, 12).Draw(t, "objects") {
			u := &unstructured.Unstructured{}
			u.SetKind(rapid.SampledFrom(kinds).Draw(t, "kind"))
			u.SetAPIVersion(rapid.SampledFrom([]string{"v1", "apps/v1", "example.com/v1"}).Draw(t, "version"))
			u.SetNamespace(rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "namespace"))
			u.SetName(rapid.SampledFrom([]string{"x", "y", "a:b"}).Draw(t, "name"))
			list, ids = append(list, u), append(ids, object.IDOf(u))
		}
		sort.Stable(ssa.SortableUnstructureds(list))
		slices.SortStableFunc(ids, plan.ApplyOrder)
		for i, u := range list {
			if ids[i] != object.IDOf(u) {
				t.Fatalf("at %d: %v, Flux %v", i, ids[i], object.IDOf(u))
			}
		}
	})
}

// cluster is the lab's API server with Flux's applier on it.
type cluster struct {
	testing.TB
	client    client.Client
	flux      *ssa.ResourceManager
	namespace string
}

func enterCluster(t *testing.T) cluster {
	t.Helper()
	if os.Getenv("SLUICE_LAB") == "" {
		t.Skip("SLUICE_LAB is not set")
	}
	c, err := client.New(labtest.Config(t), client.Options{Scheme: scheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "oracle-"}}
	if err := c.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Delete(t.Context(), ns) })
	return cluster{t, c, ssa.NewResourceManager(c, nil, ssa.Owner{Field: plan.Manager, Group: "kustomize.toolkit.fluxcd.io"}), ns.Name}
}

// fluxOptions are those of kustomize-controller's apply.
func fluxOptions(force bool) ssa.ApplyOptions {
	const group = "kustomize.toolkit.fluxcd.io/"
	o := ssa.DefaultApplyOptions()
	o.Force = force
	o.ExclusionSelector = map[string]string{group + "reconcile": "disabled", group + "ssa": "Ignore"}
	o.IfNotPresentSelector = map[string]string{group + "ssa": "IfNotPresent"}
	o.ForceSelector = map[string]string{group + "force": "enabled"}
	o.Cleanup = ssa.ApplyCleanupOptions{
		Annotations: []string{corev1.LastAppliedConfigAnnotation, group + "checksum", "fluxcd.io/sync-checksum"},
		Labels:      []string{"fluxcd.io/sync-gc-mark"},
		Exclusions:  map[string]string{group + "ssa": "Merge"},
	}
	for _, manager := range []string{"kubectl", "before-first-apply", plan.Manager} {
		o.Cleanup.FieldManagers = append(o.Cleanup.FieldManagers, ssa.FieldManager{Name: manager, OperationType: metav1.ManagedFieldsOperationUpdate})
	}
	o.Cleanup.FieldManagers = append(o.Cleanup.FieldManagers, ssa.FieldManager{Name: "kubectl", OperationType: metav1.ManagedFieldsOperationApply})
	return o
}

func (c cluster) get(u *unstructured.Unstructured) *unstructured.Unstructured {
	c.Helper()
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(u.GroupVersionKind())
	switch err := c.client.Get(c.Context(), client.ObjectKeyFromObject(u), live); {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		c.Fatal(err)
	}
	return live
}

// decide plans with what a dry-run says.
func (c cluster) decide(desired *unstructured.Unstructured, rules plan.Rules) plan.Step {
	c.Helper()
	live := plan.Live{Object: c.get(desired)}
	if live.Object != nil {
		live.Merged = desired.DeepCopy()
		err := c.client.Patch(c.Context(), live.Merged, client.Apply, client.DryRunAll, client.ForceOwnership, client.FieldOwner(plan.Manager))
		if err != nil {
			live.Merged, live.Refused, live.Replaceable = nil, err, apierrors.IsInvalid(err)
		}
	}
	p := plan.Compute(plan.Input{Want: []*unstructured.Unstructured{desired}, Live: map[object.ID]plan.Live{object.IDOf(desired): live}, Rules: rules})
	return p.Stages[0].Steps[0]
}

// do carries a step out as package cluster does.
func (c cluster) do(step plan.Step) *unstructured.Unstructured {
	c.Helper()
	if step.Cleanup != nil {
		if err := c.client.Patch(c.Context(), step.Send.DeepCopy(), client.RawPatch(types.JSONPatchType, step.Cleanup), client.FieldOwner(plan.Manager)); err != nil {
			c.Fatal("cleaning up: ", err)
		}
	}
	sent := step.Send.DeepCopy()
	if err := c.client.Patch(c.Context(), sent, client.Apply, client.ForceOwnership, client.FieldOwner(plan.Manager)); err != nil {
		c.Fatal("applying: ", err)
	}
	return c.get(step.Send)
}

// normalised reads an object as kustomize-controller does.
func (c cluster) normalised(text string) *unstructured.Unstructured {
	c.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(text, "$NS", c.namespace)), &u.Object); err != nil {
		c.Fatal(err)
	}
	if raw, err := json.Marshal(u.Object); err != nil || u.UnmarshalJSON(raw) != nil { // numbers as of an API server
		c.Fatal(err)
	}
	if cluster := u.GetKind() == "CustomResourceDefinition" || strings.HasSuffix(u.GetKind(), "WebhookConfiguration"); !cluster {
		u.SetNamespace(c.namespace)
	}
	if err := normalize.UnstructuredList([]*unstructured.Unstructured{u}); err != nil {
		c.Fatal(err)
	}
	return u
}

// sample is an object, an edit of it in the bundle, and an edit by someone else.
type sample struct {
	text   string
	bundle []string // path and JSON value
	other  []string
	// exact: what the server keeps is what was sent, so that no dry-run is
	// needed to know that it converged.
	exact bool
	// free: what the other edits is not ours.
	free bool
}

const widgetCRD = `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: widgets.$NS.example.com}, spec: {group: $NS.example.com, scope: Namespaced,
  names: {plural: widgets, singular: widget, kind: Widget, listKind: WidgetList}, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {
    size: {type: integer}, ratio: {type: number}, mode: {type: string, default: fast}, maybe: {type: string, nullable: true}, free: {type: object, x-kubernetes-preserve-unknown-fields: true},
    whole: {type: object, x-kubernetes-map-type: atomic, properties: {a: {type: string}, b: {type: string, default: c}}},
    parts: {type: array, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [name, side], items: {type: object, required: [name], properties: {name: {type: string}, side: {type: string, default: left}, count: {type: integer}}}},
    tags: {type: array, x-kubernetes-list-type: set, items: {type: string}}}}}}}}]}}`

var samples = map[string]sample{
	"ConfigMap": {text: `{apiVersion: v1, kind: ConfigMap, metadata: {name: x, labels: {a: b}}, data: {a: "1"}}`,
		bundle: []string{"/data/a", `"2"`}, other: []string{"/data/a", `"3"`}, exact: true},
	"Secret": {text: `{apiVersion: v1, kind: Secret, metadata: {name: x}, type: Opaque, stringData: {a: hush}}`,
		bundle: []string{"/data/a", `"aHVzaDI="`}, other: []string{"/data/a", `"b3RoZXI="`}, exact: true},
	"Service": {text: `{apiVersion: v1, kind: Service, metadata: {name: x}, spec: {selector: {a: b}, ports: [{name: http, port: 80, targetPort: http}, {name: dns, port: 53, targetPort: 53, protocol: UDP}]}}`,
		bundle: []string{"/spec/ports/0/targetPort", "8080"}, other: []string{"/spec/selector", `{"a":"c"}`}, exact: true},
	"ServiceAccount": {text: `{apiVersion: v1, kind: ServiceAccount, metadata: {name: x, labels: {e: f}}}`,
		bundle: []string{"/metadata/labels", `{"a":"b"}`}, other: []string{"/metadata/labels", `{"c":"d"}`}},
	"Role": {text: `{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: x}, rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]}`,
		bundle: []string{"/rules/0/verbs", `["get","list"]`}, other: []string{"/rules/0/verbs", `["*"]`}, exact: true},
	"Deployment": {text: `{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}, spec: {replicas: 2, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {
		initContainers: [{name: b, image: i}, {name: a, image: i}], containers: [{name: app, image: i, ports: [{containerPort: 80}], env: [{name: B, value: "1"}, {name: A, value: "2"}],
		volumeMounts: [{name: tmp, mountPath: /tmp}], resources: {requests: {cpu: 100m, memory: 1Gi}}}], volumes: [{name: tmp, emptyDir: {}}]}}}}`,
		bundle: []string{"/spec/template/spec/containers/0/image", `"j"`}, other: []string{"/spec/replicas", "5"}, exact: true},
	"Deployment, quantities": {text: `{apiVersion: apps/v1, kind: Deployment, metadata: {name: q}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [
		{name: app, image: i, resources: {limits: {cpu: 1000m, memory: 1024Mi}}}]}}}}`,
		bundle: []string{"/spec/template/spec/containers/0/image", `"j"`}, other: []string{"/metadata/labels", `{"x":"y"}`}, free: true},
	"Deployment, small": {text: `{apiVersion: apps/v1, kind: Deployment, metadata: {name: s}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: app, image: i}]}}}}`,
		bundle: []string{"/spec/minReadySeconds", "5"}, other: []string{"/spec/strategy", `{"type":"Recreate"}`}, exact: true, free: true},
	"StatefulSet": {text: `{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: x}, spec: {serviceName: x, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: app, image: i}]}}}}`,
		bundle: []string{"/spec/replicas", "3"}, other: []string{"/spec/template/spec/containers/0/image", `"k"`}, exact: true},
	"CronJob": {text: `{apiVersion: batch/v1, kind: CronJob, metadata: {name: x}, spec: {schedule: "0 0 * * *", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: app, image: i}]}}}}}}`,
		bundle: []string{"/spec/suspend", "true"}, other: []string{"/spec/schedule", `"1 1 * * *"`}, exact: true},
	"HorizontalPodAutoscaler": {text: `{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: x}, spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: x}, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}]}}`,
		bundle: []string{"/spec/maxReplicas", "4"}, other: []string{"/spec/maxReplicas", "9"}, exact: true},
	"ValidatingWebhookConfiguration": {text: `{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: $NS}, webhooks: [{name: a.example.com, admissionReviewVersions: [v1], sideEffects: None, failurePolicy: Ignore,
		clientConfig: {url: "https://localhost/x"}, rules: [{apiGroups: [none.example.com], apiVersions: [v1], operations: [CREATE], resources: [nones]}]}]}`,
		bundle: []string{"/webhooks/0/timeoutSeconds", "5"}, other: []string{"/webhooks/0/clientConfig/url", `"https://localhost/y"`}},
	"CustomResourceDefinition": {text: strings.NewReplacer("widget", "gadget", "Widget", "Gadget").Replace(widgetCRD),
		bundle: []string{"/spec/names/shortNames", `["gd"]`}, other: []string{"/metadata/labels", `{"x":"y"}`}, free: true},
	"custom resource": {text: `{apiVersion: $NS.example.com/v1, kind: Widget, metadata: {name: x}, spec: {size: 1, ratio: 2.0, free: {a: {b: 1}}, parts: [{name: b, side: left, count: 1}, {name: a, side: right}], tags: [t, s]}}`,
		bundle: []string{"/spec/parts/0/count", "2"}, other: []string{"/spec/size", "7"}, exact: true},
	"custom resource, defaulted inside": {text: `{apiVersion: $NS.example.com/v1, kind: Widget, metadata: {name: z}, spec: {whole: {a: b}, maybe: null, parts: [{name: b}]}}`,
		bundle: []string{"/spec/whole/a", `"z"`}, other: []string{"/spec/whole/a", `"w"`}},
}

func edited(t testing.TB, u *unstructured.Unstructured, edit []string) *unstructured.Unstructured {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(edit[1]), &value); err != nil {
		t.Fatal(err)
	}
	if f, ok := value.(float64); ok {
		value = int64(f)
	}
	u = u.DeepCopy()
	path := strings.Split(strings.Trim(edit[0], "/"), "/")
	var at any = u.Object
	for i, part := range path {
		if list, ok := at.([]any); ok {
			at = list[part[0]-'0']
			continue
		}
		m := at.(map[string]any)
		if i == len(path)-1 {
			m[part] = value
		}
		at = m[part]
	}
	return u
}

var asFlux = map[ssa.Action]plan.Action{ssa.CreatedAction: plan.Create, ssa.ConfiguredAction: plan.Update, ssa.UnchangedAction: plan.Keep, ssa.SkippedAction: plan.Skip}

// same asks both what they would do, and us whether a dry-run is needed to know.
// Controllers of the lab write too: only answers about one state are compared.
func (c cluster) same(when string, desired *unstructured.Unstructured, want plan.Action) (converged bool) {
	c.Helper()
	o := fluxOptions(false)
	c.eventually(when+": an object that nobody writes", func() error {
		before := c.get(desired)
		step := c.decide(desired, plan.Rules{})
		entry, _, _, err := c.flux.Diff(c.Context(), desired.DeepCopy(), ssa.DiffOptions{Exclusions: o.ExclusionSelector, IfNotPresentSelector: o.IfNotPresentSelector})
		if err != nil {
			return err
		}
		if after := c.get(desired); before != nil && after.GetResourceVersion() != before.GetResourceVersion() {
			return fmt.Errorf("written meanwhile")
		}
		if step.Action != want || asFlux[entry.Action] != want {
			c.Errorf("%s: %s (%v), Flux %s, want %s", when, step.Action, step.Changes, entry.Action, want)
		}
		converged = before != nil && plan.RecordOf(before, nil).Converged(desired, plan.Rules{}, plan.Applied{})
		if converged && entry.Action != ssa.UnchangedAction {
			c.Errorf("%s: known to be converged, but Flux says %s", when, entry.Action)
		}
		return nil
	})
	return converged
}

// eventually waits until a condition has no complaint.
func (c cluster) eventually(what string, try func() error) {
	c.Helper()
	last := error(nil)
	err := wait.PollUntilContextTimeout(c.Context(), 50*time.Millisecond, labtest.Patience, true, func(context.Context) (bool, error) {
		last = try()
		return last == nil, nil
	})
	if err != nil {
		c.Fatalf("waiting for %s: %v", what, last)
	}
}

// For each kind: what we decide is what Flux decides, before and after it is
// applied, changed in the bundle, and changed by someone else.
func TestDecisionsAreFluxs(t *testing.T) {
	c := enterCluster(t)
	crd := c.normalised(widgetCRD)
	if _, err := c.flux.Apply(t.Context(), crd, fluxOptions(false)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.client.Delete(t.Context(), crd) })
	for name, s := range samples {
		t.Run(name, func(t *testing.T) {
			c := c
			c.TB = t
			desired := c.normalised(s.text)
			if strings.HasSuffix(desired.GetAPIVersion(), "example.com/v1") {
				c.served(desired)
			}
			t.Cleanup(func() { c.client.Delete(t.Context(), desired) })
			c.same("before", desired, plan.Create)
			live := c.do(c.decide(desired, plan.Rules{}))
			if converged := c.same("after", desired, plan.Keep); s.exact && !converged {
				owned, _ := plan.OwnedBy(live, plan.Manager)
				t.Errorf("a dry-run is needed to know that it converged:\nwanted %v\nlive %v\nowned %s", desired.Object, live.Object, owned.Fields)
			}
			applied := plan.Applied{Desired: plan.DesiredDigest(desired, plan.Rules{}), Owned: plan.RecordOf(live, nil).OwnedDigest}
			if !plan.RecordOf(c.get(desired), nil).Converged(desired, plan.Rules{}, applied) {
				t.Error("what was just applied is not remembered")
			}
			c.same("changed in the bundle", edited(t, desired, s.bundle), plan.Update)
			c.eventually("an edit by another", func() error {
				return c.client.Update(t.Context(), edited(t, c.get(desired), s.other), client.FieldOwner("someone"))
			})
			want := plan.Update
			if s.free {
				want = plan.Keep
			}
			c.same("changed by another", desired, want)
			if foreign := c.get(desired); plan.RecordOf(foreign, nil).Converged(desired, plan.Rules{}, applied) != s.free {
				t.Errorf("converged by memory: %v, changed by another is %s", !s.free, want)
			}
		})
	}
}

// served waits until the kind of an object is served.
func (c cluster) served(u *unstructured.Unstructured) {
	c.Helper()
	c.eventually("its kind", func() error {
		return c.client.Patch(c.Context(), u.DeepCopy(), client.Apply, client.DryRunAll, client.FieldOwner("probe"))
	})
}

// What kubectl left is taken over as Flux takes it over: the same entries of
// managedFields, the same object.
func TestCleanupIsFluxs(t *testing.T) {
	c := enterCluster(t)
	for name, before := range map[string][]string{
		"kubectl apply":                 {"kubectl-client-side-apply"},
		"kubectl edit after us":         {plan.Manager + "!", "kubectl-edit"},
		"kubectl apply --server-side":   {"kubectl!"},
		"two of kubectl, and a mutator": {"kubectl-client-side-apply", "mutator", "kubectl-edit"},
		"before the first apply":        {"before-first-apply", "mutator!"},
		"ours, before server-side":      {plan.Manager},
		"none":                          {"mutator", plan.Manager + "!"},
	} {
		t.Run(name, func(t *testing.T) {
			c := c
			c.TB = t
			suffix := fmt.Sprint(rand.IntN(1e9))
			desired := c.normalised(`{apiVersion: v1, kind: ConfigMap, metadata: {labels: {app: x}}, data: {wanted: "1", new: "1"}}`)
			var results []*unstructured.Unstructured
			for _, side := range []string{"ours", "flux"} {
				d := desired.DeepCopy()
				d.SetName(side + suffix)
				c.history(d, before)
				if side == "flux" {
					if _, err := c.flux.Apply(t.Context(), d, fluxOptions(false)); err != nil {
						t.Fatal(err)
					}
				} else {
					step, was := c.decide(d, plan.Rules{}), c.get(d)
					if live := c.do(step); cmp.Diff(diff.Fields(was, live), step.Changes) != "" {
						t.Errorf("the plan said otherwise: %s", cmp.Diff(diff.Fields(was, live), step.Changes))
					}
				}
				results = append(results, comparable(c.get(d)))
			}
			if d := cmp.Diff(results[1].Object, results[0].Object); d != "" {
				t.Errorf("Flux -, ours +\n%s", d)
			}
		})
	}
}

// A clean-up that was decided on an older state is refused: it would take from
// others what they came to own since.
func TestStaleCleanupIsAConflict(t *testing.T) {
	c := enterCluster(t)
	desired := c.normalised(`{apiVersion: v1, kind: ConfigMap, metadata: {name: x}, data: {wanted: "1"}}`)
	c.history(desired, []string{"kubectl-edit"})
	step := c.decide(desired, plan.Rules{})
	c.history(desired, []string{"mutator"})
	err := c.client.Patch(t.Context(), desired.DeepCopy(), client.RawPatch(types.JSONPatchType, step.Cleanup), client.FieldOwner(plan.Manager))
	if !apierrors.IsConflict(err) {
		t.Errorf("got %v, want a conflict", err)
	}
}

// history writes an object as several managers: with "!" by apply, else by
// update. Each adds a field of its own.
func (c cluster) history(u *unstructured.Unstructured, managers []string) {
	c.Helper()
	for i, name := range managers {
		manager, apply := strings.CutSuffix(name, "!")
		o := u.DeepCopy()
		o.Object["data"] = map[string]any{"wanted": "0", fmt.Sprint("of-", i): manager}
		if strings.HasPrefix(manager, "kubectl") {
			o.SetAnnotations(map[string]string{corev1.LastAppliedConfigAnnotation: "{}"})
		}
		live := c.get(u)
		var err error
		switch {
		case apply:
			err = c.client.Patch(c.Context(), o, client.Apply, client.ForceOwnership, client.FieldOwner(manager))
		case live == nil:
			err = c.client.Create(c.Context(), o, client.FieldOwner(manager))
		default:
			err = c.client.Patch(c.Context(), o, client.Merge, client.FieldOwner(manager))
		}
		if err != nil {
			c.Fatal(err)
		}
	}
}

// comparable leaves out what two objects never share.
func comparable(u *unstructured.Unstructured) *unstructured.Unstructured {
	entries := u.GetManagedFields()
	for i := range entries {
		entries[i].Time = nil
	}
	u.SetManagedFields(entries)
	for _, field := range []string{"name", "uid", "resourceVersion", "creationTimestamp"} {
		unstructured.RemoveNestedField(u.Object, "metadata", field)
	}
	return u
}
