package plan

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/internal/inventory"
	"github.com/sluice-dev/sluice/internal/object"
)

func example(t *testing.T) Plan {
	t.Helper()
	ns, cm := thing(t, "v1", "Namespace", "ns"), thing(t, "v1", "ConfigMap", "c", "data.a=1", "data.new=x")
	secret := thing(t, "v1", "Secret", "s", "data.password=bmV3", "data.other=b3RoZXI=")
	job, widget := thing(t, "batch/v1", "Job", "j", "spec.a=2"), thing(t, "example.com/v1", "Widget", "w")
	skipped, kept := thing(t, "v1", "ConfigMap", "skip", "label:"+domain+"ssa=Ignore"), thing(t, "v1", "ConfigMap", "kept")
	old, oldNS := ours(thing(t, "v1", "ConfigMap", "old")), ours(thing(t, "v1", "Namespace", "old"))
	old.SetUID("uid-old")
	oldNS.SetUID("uid-old-ns")
	liveCM := with(ours(thing(t, "v1", "ConfigMap", "c")), "data.a=0", "data.gone="+strings.Repeat("long ", 20))
	merged := with(liveCM, "data.a=1", "data.new=x")
	unstructured.RemoveNestedField(merged.Object, "data", "gone")
	liveSecret := with(ours(secret), "data.password=b2xk")
	return Compute(Input{
		Owner: us, Revision: "v1", Rules: Rules{Prune: true, Force: true},
		Want: []*unstructured.Unstructured{kept, skipped, widget, job, secret, cm, ns},
		Own:  inventory.Of(inventory.Entry{ID: object.IDOf(old)}, inventory.Entry{ID: object.IDOf(oldNS)}),
		Live: map[object.ID]Live{
			object.IDOf(ns): {}, object.IDOf(cm): {Object: liveCM, Merged: merged},
			object.IDOf(secret):  {Object: liveSecret, Merged: with(liveSecret, "data.password=bmV3")},
			object.IDOf(job):     {Object: with(ours(job), "spec.a=1", "spec.defaulted=x"), Refused: errors.New("spec.a is immutable"), Replaceable: true},
			object.IDOf(widget):  {Unserved: true},
			object.IDOf(skipped): {}, object.IDOf(kept): {Converged: true},
			object.IDOf(old): {Object: old}, object.IDOf(oldNS): {Object: oldNS},
		},
	})
}

func TestWriteText(t *testing.T) {
	p := example(t)
	var got strings.Builder
	if err := p.WriteText(&got); err != nil {
		t.Fatal(err)
	}
	want := `definitions
    + Namespace/ns
objects
    ~ ConfigMap/ns/c
        ~ .data.a: "0" -> "1"
        - .data.gone: "long long long long long long long long long long long long…
        + .data.new: "x"
    = ConfigMap/ns/skip: kustomize.toolkit.fluxcd.io/ssa: Ignore in the bundle
    ~ Secret/ns/s
        ~ .data.password: *** (changed) -> *** (changed)
  -/+ Job/ns/j: a field cannot be changed: Job/ns/j dry-run failed: spec.a is immutable
        ~ .spec.a: "1" -> "2"
    ! Widget/ns/w: no server knows kind Widget of example.com/v1: install its CustomResourceDefinition, or leave the object out
prune
    - ConfigMap/ns/old
    - Namespace/old: and with it all objects in the namespace
1 to create, 2 to update, 1 to replace, 2 to delete, 1 refused, 1 left alone, 1 unchanged
`
	if d := cmp.Diff(want, got.String()); d != "" {
		t.Error(d)
	}
	if p.Writes() != 6 || len(p.Refused()) != 1 || p.Inventory().Len() != 7 {
		t.Errorf("%d writes, %d refused, %d in the inventory", p.Writes(), len(p.Refused()), p.Inventory().Len())
	}
}

func TestNoSecretLeavesThePlan(t *testing.T) {
	p := example(t)
	var text strings.Builder
	p.WriteText(&text)
	raw, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"bmV3", "b2xk", "b3RoZXI="} {
		if strings.Contains(text.String()+string(raw), value) {
			t.Errorf("%s is shown", value)
		}
	}
	// A server that repeats a value is not repeated.
	err = &RefusedError{ID: object.ID{Kind: "Secret", Namespace: "ns", Name: "s"}, Err: errors.New(`.data.a: expected string, got &value.valueUnstructured{Value:1234}`)}
	if strings.Contains(err.Error(), "1234") {
		t.Error(err)
	}
}

func TestManyChangesAreCut(t *testing.T) {
	live := ours(thing(t, "v1", "ConfigMap", "c"))
	merged := with(live, "data.a=1", "data.b=1", "data.c=1", "data.d=1", "data.e=1", "data.f=1", "data.g=1", "data.h=1", "data.i=1", "data.j=1")
	p := Compute(Input{Want: []*unstructured.Unstructured{live}, Live: map[object.ID]Live{object.IDOf(live): {Object: live, Merged: merged}}})
	var got strings.Builder
	p.WriteText(&got)
	if !strings.Contains(got.String(), ".data.h") || strings.Contains(got.String(), ".data.i") || !strings.Contains(got.String(), "and 2 more") {
		t.Error(got.String())
	}
}

func TestSummaryOfNothing(t *testing.T) {
	if got := (Plan{}).Summary(); got != "no objects" {
		t.Error(got)
	}
}
