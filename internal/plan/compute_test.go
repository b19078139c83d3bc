package plan

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"

	"github.com/sluice-dev/sluice/internal/inventory"
	"github.com/sluice-dev/sluice/internal/object"
)

var us = Owner{Namespace: "flux-system", Name: "app"}

// thing makes an object; each edit is "path=value", with labels and annotations
// as label:key=value and annotation:key=value.
func thing(t testing.TB, apiVersion, kind, name string, edits ...string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetAPIVersion(apiVersion)
	u.SetKind(kind)
	u.SetName(name)
	if kind != "Namespace" && kind != "CustomResourceDefinition" && kind != "ClusterRole" {
		u.SetNamespace("ns")
	}
	return with(u, edits...)
}

func with(u *unstructured.Unstructured, edits ...string) *unstructured.Unstructured {
	u = u.DeepCopy()
	for _, edit := range edits {
		at, value, _ := strings.Cut(edit, "=")
		path := strings.Split(at, ".")
		if key, ok := strings.CutPrefix(at, "label:"); ok {
			path = []string{"metadata", "labels", key}
		} else if key, ok := strings.CutPrefix(at, "annotation:"); ok {
			path = []string{"metadata", "annotations", key}
		}
		if err := unstructured.SetNestedField(u.Object, value, path...); err != nil {
			panic(err)
		}
	}
	return u
}

func ours(u *unstructured.Unstructured) *unstructured.Unstructured {
	u = with(u, "label:"+ownerName+"="+us.Name, "label:"+ownerNamespace+"="+us.Namespace)
	u.SetUID("uid")
	u.SetResourceVersion("7")
	return u
}

var errInvalid = apierrors.NewInvalid(schema.GroupKind{Kind: "X"}, "x", nil)

func TestStepOfOneObject(t *testing.T) {
	cm := thing(t, "v1", "ConfigMap", "x", "data.a=1")
	claim := thing(t, "v1", "PersistentVolumeClaim", "x")
	live := ours(cm)
	const disabled = domain + "reconcile=Disabled"
	for name, tc := range map[string]struct {
		desired *unstructured.Unstructured // cm if nil
		live    Live
		rules   Rules
		want    Action
		why     string
	}{
		"not there":                        {live: Live{}, want: Create},
		"converged":                        {live: Live{Converged: true}, want: Keep},
		"no drift":                         {live: Live{Object: live, Merged: live}, want: Keep},
		"drift":                            {live: Live{Object: live, Merged: with(live, "data.a=2")}, want: Update},
		"drift of a label":                 {live: Live{Object: live, Merged: with(live, "label:a=2")}, want: Update},
		"drift of status":                  {live: Live{Object: live, Merged: with(live, "status.a=2")}, want: Keep},
		"drift of an owner":                {live: Live{Object: live, Merged: with(live, "metadata.generateName=2")}, want: Keep},
		"no dry-run was made":              {live: Live{Object: live}, want: Update},
		"cannot be looked at":              {live: Live{Failed: errors.New("looking at it: timeout")}, want: Refuse, why: "timeout"},
		"unserved":                         {live: Live{Unserved: true}, want: Refuse, why: "no server knows kind ConfigMap of v1"},
		"skipped, unserved":                {desired: with(cm, "label:"+disabled), live: Live{Unserved: true}, want: Skip, why: "in the bundle"},
		"disabled wanted":                  {desired: with(cm, "annotation:"+disabled), live: Live{}, want: Skip, why: "in the bundle"},
		"disabled live":                    {live: Live{Object: with(live, "label:"+disabled), Merged: with(live, "data.a=2")}, want: Skip, why: "on the live object"},
		"ignored live":                     {live: Live{Object: with(live, "annotation:"+domain+"ssa=ignore")}, want: Skip, why: "ssa: Ignore"},
		"if not present, absent":           {desired: with(cm, "annotation:"+domain+"ssa=IfNotPresent"), live: Live{}, want: Create},
		"if not present, there":            {desired: with(cm, "annotation:"+domain+"ssa=IfNotPresent"), live: Live{Object: live}, want: Skip, why: "IfNotPresent"},
		"refused":                          {live: Live{Object: live, Refused: errInvalid}, want: Refuse, why: "ConfigMap/ns/x dry-run failed (Invalid)"},
		"refused, forced, not replaceable": {live: Live{Object: live, Refused: errInvalid}, rules: Rules{Force: true}, want: Refuse},
		"immutable":                        {live: Live{Object: live, Refused: errInvalid, Replaceable: true}, want: Refuse, why: "set spec.force"},
		"immutable, forced":                {live: Live{Object: live, Refused: errInvalid, Replaceable: true}, rules: Rules{Force: true}, want: Replace, why: "cannot be changed"},
		"immutable, marked":                {desired: with(cm, "label:"+domain+"force=Enabled"), live: Live{Object: live, Refused: errInvalid, Replaceable: true}, want: Replace},
		"immutable, marked live":           {live: Live{Object: with(live, "annotation:"+domain+"force=enabled"), Refused: errInvalid, Replaceable: true}, want: Replace},
		"immutable claim, forced":          {desired: claim, live: Live{Object: ours(claim), Refused: errInvalid, Replaceable: true}, rules: Rules{Force: true}, want: Refuse, why: "mark the object itself"},
		"immutable claim, marked":          {desired: with(claim, "label:"+domain+"force=enabled"), live: Live{Object: ours(claim), Refused: errInvalid, Replaceable: true}, want: Replace},
		"being deleted":                    {live: Live{Object: with(live, "metadata.deletionTimestamp=2026-01-01T00:00:00Z"), Merged: live}, want: Defer, why: "is being deleted"},
		"ignored drift":                    {live: Live{Object: live, Merged: with(live, "data.a=2")}, rules: Rules{Ignore: ignoring("/data/a", nil)}, want: Keep},
		"drift beside an ignored one":      {live: Live{Object: live, Merged: with(live, "data.a=2", "data.b=3")}, rules: Rules{Ignore: ignoring("/data/a", nil)}, want: Update},
		"ignored for another kind":         {live: Live{Object: live, Merged: with(live, "data.a=2")}, rules: Rules{Ignore: ignoring("/data/a", &kustomize.Selector{Kind: "Config"})}, want: Update},
		"ignored by a pattern":             {live: Live{Object: live, Merged: with(live, "data.a=2")}, rules: Rules{Ignore: ignoring("/data/a", &kustomize.Selector{Kind: "Config.*", Version: "v1", LabelSelector: ownerName + " in (app)"})}, want: Keep},
	} {
		t.Run(name, func(t *testing.T) {
			desired := tc.desired
			if desired == nil {
				desired = cm
			}
			p := Compute(Input{Owner: us, Want: []*unstructured.Unstructured{desired}, Live: map[object.ID]Live{object.IDOf(desired): tc.live}, Rules: tc.rules})
			step := p.Stages[0].Steps[0]
			if step.Action != tc.want || !strings.Contains(step.Why, tc.why) {
				t.Errorf("got %s because %q, want %s because of %q", step.Action, step.Why, tc.want, tc.why)
			}
			if (step.Send != nil) != (tc.want.Writes()) {
				t.Errorf("%s sends %v", step.Action, step.Send)
			}
			if (step.Err != nil) != (tc.want == Refuse) {
				t.Errorf("%s has the error %v", step.Action, step.Err)
			}
		})
	}
}

func ignoring(path string, target *kustomize.Selector) []kustomizev1.IgnoreRule {
	return []kustomizev1.IgnoreRule{{Paths: []string{path}, Target: target}}
}

func TestStagesAreInFluxOrder(t *testing.T) {
	kinds := []string{"v1 Secret", "v1 ConfigMap", "example.com/v1 Widget", "storage.k8s.io/v1 StorageClass", "v1 Namespace",
		"rbac.authorization.k8s.io/v1 ClusterRole", "apiextensions.k8s.io/v1 CustomResourceDefinition", "apps/v1 Deployment",
		"admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration", "example.com/v1 Operator", "batch/v1 Job"}
	in := Input{Live: map[object.ID]Live{}, Rules: Rules{StageKinds: map[schema.GroupKind]struct{}{{Group: "example.com", Kind: "Operator"}: {}}}}
	for _, kind := range kinds {
		apiVersion, kind, _ := strings.Cut(kind, " ")
		u := thing(t, apiVersion, kind, "x")
		in.Want = append(in.Want, u)
		in.Live[object.IDOf(u)] = Live{}
	}
	var got []string
	for _, stage := range Compute(in).Stages {
		line := stage.Name + ":"
		for _, step := range stage.Steps {
			line += " " + step.ID.Kind
		}
		got = append(got, fmt.Sprint(line, " wait=", stage.Wait))
	}
	want := []string{
		"definitions: CustomResourceDefinition Namespace ClusterRole wait=true",
		"classes: StorageClass wait=true",
		"custom: Operator wait=false",
		"objects: ConfigMap Secret Deployment Job Widget ValidatingWebhookConfiguration wait=false",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestRefusalsWaitForWhatComesBefore(t *testing.T) {
	crd := thing(t, "apiextensions.k8s.io/v1", "CustomResourceDefinition", "widgets.example.com", "spec.group=example.com", "spec.names.kind=Widget")
	widget := thing(t, "example.com/v1", "Widget", "w")
	ns := thing(t, "v1", "Namespace", "ns")
	cm := thing(t, "v1", "ConfigMap", "c")
	refused := Live{Refused: errInvalid}
	for name, tc := range map[string]struct {
		want []*unstructured.Unstructured
		live []Live
		is   []Action
	}{
		"its definition is in the set":  {[]*unstructured.Unstructured{crd, widget}, []Live{{}, {Unserved: true}}, []Action{Create, Defer}},
		"its definition is converged":   {[]*unstructured.Unstructured{crd, widget}, []Live{{Converged: true}, {Unserved: true}}, []Action{Keep, Defer}},
		"its definition changes":        {[]*unstructured.Unstructured{crd, widget}, []Live{{Object: ours(crd)}, refused}, []Action{Update, Defer}},
		"its definition does not":       {[]*unstructured.Unstructured{crd, widget}, []Live{{Converged: true}, refused}, []Action{Keep, Refuse}},
		"its namespace comes":           {[]*unstructured.Unstructured{ns, cm}, []Live{{}, refused}, []Action{Create, Defer}},
		"its namespace is there":        {[]*unstructured.Unstructured{ns, cm}, []Live{{Converged: true}, refused}, []Action{Keep, Refuse}},
		"its namespace is going":        {[]*unstructured.Unstructured{ns, cm}, []Live{{Object: with(ours(ns), "metadata.deletionTimestamp=2026-01-01T00:00:00Z")}, refused}, []Action{Defer, Defer}},
		"a kind that nobody serves":     {[]*unstructured.Unstructured{ns, widget}, []Live{{}, {Unserved: true}}, []Action{Create, Refuse}},
		"what cannot be read":           {[]*unstructured.Unstructured{ns, cm}, []Live{{}, {Failed: errInvalid}}, []Action{Create, Refuse}},
		"what is immutable":             {[]*unstructured.Unstructured{ns, cm}, []Live{{}, {Object: ours(cm), Refused: errInvalid, Replaceable: true}}, []Action{Create, Refuse}},
		"immutable, defined otherwise":  {[]*unstructured.Unstructured{crd, widget}, []Live{{Object: ours(crd)}, {Object: ours(widget), Refused: errInvalid, Replaceable: true}}, []Action{Update, Defer}},
		"refused in the stage of write": {[]*unstructured.Unstructured{cm, widget}, []Live{{}, refused}, []Action{Create, Refuse}},
	} {
		t.Run(name, func(t *testing.T) {
			in := Input{Want: tc.want, Live: map[object.ID]Live{}}
			for i, u := range tc.want {
				in.Live[object.IDOf(u)] = tc.live[i]
			}
			p := Compute(in)
			for i, u := range tc.want {
				if got := p.action(object.IDOf(u)); got != tc.is[i] {
					t.Errorf("%s: %s, want %s", object.IDOf(u), got, tc.is[i])
				}
				if tc.is[i] == Defer && tc.live[i].Refused != nil {
					if step := p.Stages[1].Steps[0]; !strings.Contains(step.Why, "dry-run failed") || step.Err != nil {
						t.Errorf("the refusal is lost: %+v", step)
					}
				}
			}
		})
	}
}

func TestPruneSteps(t *testing.T) {
	cm := ours(thing(t, "v1", "ConfigMap", "old"))
	id := object.IDOf(cm)
	theirs := with(cm, "label:"+ownerName+"=other")
	none := thing(t, "v1", "ConfigMap", "old")
	role := thing(t, "rbac.authorization.k8s.io/v1", "ClusterRole", "r")
	spaced := role.DeepCopy()
	spaced.SetNamespace("ns")
	for name, tc := range map[string]struct {
		own    object.ID // id if zero
		live   Live
		in     Input
		action Action // "" if left out
		why    string
	}{
		"ours":               {live: Live{Object: cm}, action: Delete},
		"gone":               {live: Live{}, action: ""},
		"of another":         {live: Live{Object: theirs}, action: Skip, why: "belongs to Kustomization/flux-system/other"},
		"of nobody":          {live: Live{Object: none}, action: Skip, why: "not labelled as ours"},
		"handed over":        {live: Live{Object: cm}, in: Input{Claimed: map[object.ID]string{id: "flux-system/other"}}, action: Skip, why: "handed over to flux-system/other"},
		"prune disabled":     {live: Live{Object: with(cm, "label:"+domain+"prune=disabled")}, action: Skip, why: "prune: disabled"},
		"reconcile disabled": {live: Live{Object: with(cm, "annotation:"+domain+"reconcile=disabled")}, action: Skip, why: "reconcile: disabled"},
		"ssa ignore":         {live: Live{Object: with(cm, "annotation:"+domain+"ssa=Ignore")}, action: Skip, why: "ssa: Ignore"},
		"being deleted":      {live: Live{Object: with(cm, "metadata.deletionTimestamp=2026-01-01T00:00:00Z")}, action: Skip, why: "being deleted already"},
		"not read":           {live: Live{Failed: errors.New("timeout")}, action: Refuse, why: "timeout"},
		"kind is gone":       {live: Live{Unserved: true}, action: Skip, why: "no server knows"},
		"the wanted object under another name": {live: Live{Object: cm}, action: Skip, why: "the same object as ConfigMap/ns/new",
			in: Input{Want: []*unstructured.Unstructured{thing(t, "v1", "ConfigMap", "new")}, Live: map[object.ID]Live{{Kind: "ConfigMap", Namespace: "ns", Name: "new"}: {Object: ours(thing(t, "v1", "ConfigMap", "new"))}}}},
		"a cluster-wide object with a namespace, before": {own: object.IDOf(spaced), live: Live{Object: ours(role)}, action: Skip, why: "the same object",
			in: Input{Want: []*unstructured.Unstructured{role}, Live: map[object.ID]Live{object.IDOf(role): {Converged: true}}}},
		"a cluster-wide object with a namespace, now": {own: object.IDOf(role), live: Live{Object: ours(role)}, action: "",
			in: Input{Want: []*unstructured.Unstructured{spaced}, Live: map[object.ID]Live{object.IDOf(spaced): {Converged: true}}}},
	} {
		t.Run(name, func(t *testing.T) {
			in, own := tc.in, tc.own
			if own == (object.ID{}) {
				own = id
			}
			in.Owner, in.Rules.Prune, in.Own = us, true, inventory.Of(inventory.Entry{ID: own, Version: "v1"})
			if in.Live == nil {
				in.Live = map[object.ID]Live{}
			}
			in.Live[own] = tc.live
			p := Compute(in)
			if tc.action == "" {
				if len(p.Prune) != 0 {
					t.Fatalf("%+v, want nothing", p.Prune)
				}
				return
			}
			if len(p.Prune) != 1 {
				t.Fatalf("%d steps", len(p.Prune))
			}
			step := p.Prune[0]
			if step.Action != tc.action || !strings.Contains(step.Why, tc.why) {
				t.Errorf("got %s because %q, want %s because of %q", step.Action, step.Why, tc.action, tc.why)
			}
			if step.Action == Delete && (step.UID != "uid" || step.Send != nil) {
				t.Errorf("the deletion is of %q and sends %v", step.UID, step.Send)
			}
		})
	}
}

func TestEmptyBuildIsHeld(t *testing.T) {
	cm := ours(thing(t, "v1", "ConfigMap", "old"))
	id := object.IDOf(cm)
	all := Input{Owner: us, Revision: "v1@sha256:1", Empty: true, Own: inventory.Of(inventory.Entry{ID: id}),
		Live: map[object.ID]Live{id: {Object: cm}}, Rules: Rules{Prune: true}}
	held := Compute(all).Held
	for _, part := range []string{"1 object: ConfigMap/ns/old", AllowEmptyAnnotation, `"v1@sha256:1"`} {
		if !strings.Contains(held, part) {
			t.Errorf("%q does not say %q", held, part)
		}
	}
	for name, change := range map[string]func(*Input){
		"allowed":               func(in *Input) { in.Rules.AllowEmpty = true },
		"an explicit empty one": func(in *Input) { in.Empty = false },
		"nothing is owned":      func(in *Input) { in.Own = inventory.Of() },
		"prune is off":          func(in *Input) { in.Rules.Prune = false },
	} {
		in := all
		change(&in)
		if p := Compute(in); p.Held != "" {
			t.Errorf("%s: held: %s", name, p.Held)
		}
	}
}

func TestPruneOffIsNoted(t *testing.T) {
	var entries []inventory.Entry
	for _, name := range []string{"a", "b", "c", "d"} {
		entries = append(entries, inventory.Entry{ID: object.ID{Kind: "ConfigMap", Namespace: "ns", Name: name}})
	}
	p := Compute(Input{Own: inventory.Of(entries...)})
	want := []string{"prune is off: 4 objects not wanted any more stay: ConfigMap/ns/a, ConfigMap/ns/b, ConfigMap/ns/c and 1 more"}
	if d := cmp.Diff(want, p.Notes); d != "" || len(p.Prune) > 0 {
		t.Error(d, p.Prune)
	}
}

func TestBadIgnoreRuleHolds(t *testing.T) {
	p := Compute(Input{Rules: Rules{Ignore: ignoring("/a", &kustomize.Selector{Name: "("})}})
	if !strings.Contains(p.Held, "spec.ignore[0].target: name") {
		t.Errorf("held: %q", p.Held)
	}
}
