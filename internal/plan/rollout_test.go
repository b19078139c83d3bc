package plan

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/internal/diff"
	"github.com/sluice-dev/sluice/internal/inventory"
	"github.com/sluice-dev/sluice/internal/object"
)

// world is a cluster of the model.
type world struct {
	model
	objects map[object.ID]*unstructured.Unstructured
}

// observe looks at all that a plan needs to know.
func (w world) observe(in Input) map[object.ID]Live {
	live := map[object.ID]Live{}
	for _, e := range in.Own.Entries() {
		live[e.ID] = Live{Object: w.objects[e.ID]}
	}
	for _, u := range in.Want {
		id := object.IDOf(u)
		seen := Live{Object: w.objects[id]}
		if seen.Object != nil {
			seen.Merged = w.write(seen.Object, u, Manager, true)
			seen.Converged = RecordOf(seen.Object, nil).Converged(u, in.Rules, Applied{})
		}
		live[id] = seen
	}
	return live
}

// do carries out a plan.
func (w world) do(p Plan) {
	for step := range p.All() {
		switch step.Action {
		case Create, Update:
			live := w.objects[step.ID]
			if step.Cleanup != nil {
				live = w.cleaned(live, step)
			}
			w.objects[step.ID] = w.write(live, step.Send, Manager, true)
		case Delete:
			delete(w.objects, step.ID)
		}
	}
}

// cleaned applies the patch of a clean-up, by the outcome that goes with it.
func (w world) cleaned(live *unstructured.Unstructured, step Step) *unstructured.Unstructured {
	c, err := cleanupOf(step.Send, live, Rules{})
	if err != nil {
		panic(err)
	}
	return c.live
}

// filled is some object without empty maps: the merge of a dry-run removes and
// adds those in turns.
func filled(t *rapid.T, name, label string) *unstructured.Unstructured {
	u := withoutEmptyLists(someObject(t, name, label))
	spec := u.Object["spec"].(map[string]any)
	for _, field := range []string{"strategy", "selector", "args"} {
		switch v := spec[field].(type) {
		case map[string]any:
			if len(v) == 0 {
				delete(spec, field)
			}
		case []any:
			if len(v) == 0 {
				delete(spec, field)
			}
		}
	}
	spec["replicas"] = rapid.Int64Range(0, 2).Draw(t, label+"replicas")
	return u
}

func ownedBy(u *unstructured.Unstructured, owner Owner) *unstructured.Unstructured {
	return with(u, "label:"+ownerName+"="+owner.Name, "label:"+ownerNamespace+"="+owner.Namespace)
}

// After a plan is done nothing is left to plan, exactly what is stale and ours
// is gone, and the order of the input decides nothing.
func TestPlanThenApplyConverges(t *testing.T) {
	model := newModel()
	names := []string{"a", "b", "c", "d", "e"}
	them := Owner{Namespace: "flux-system", Name: "other"}
	rapid.Check(t, func(t *rapid.T) {
		w := world{model, map[object.ID]*unstructured.Unstructured{}}
		in := Input{Owner: us, Rules: Rules{Prune: true}, Claimed: map[object.ID]string{}}
		var own []inventory.Entry
		stays := map[object.ID]bool{}
		for i, name := range names {
			u := filled(t, name, name)
			id := object.IDOf(u)
			if rapid.Bool().Draw(t, name+" lives") {
				owner, manager := us, Manager
				if rapid.IntRange(0, 3).Draw(t, name+" is of another") == 0 {
					owner = them
					stays[id] = true
				}
				w.objects[id] = w.write(nil, ownedBy(u, owner), manager, true)
				if rapid.Bool().Draw(t, name+" was edited") {
					w.objects[id] = w.write(w.objects[id], filled(t, name, name+" edit"), rapid.SampledFrom([]string{"hpa", "kubectl-edit"}).Draw(t, name+" by"), rapid.Bool().Draw(t, name+" applied"))
				}
				if rapid.Bool().Draw(t, name+" owned") {
					own = append(own, inventory.Entry{ID: id, Version: "v1"})
				}
			}
			if rapid.IntRange(0, 3).Draw(t, name+" is claimed") == 0 {
				in.Claimed[id] = "flux-system/other"
			}
			if rapid.Bool().Draw(t, name+" wanted") {
				in.Want = append(in.Want, ownedBy(filled(t, name, fmt.Sprint("want", i)), us))
			}
		}
		in.Own = inventory.Of(own...)
		in.Live = w.observe(in)
		before := maps.Clone(w.objects)

		p := Compute(in)
		slices.Reverse(in.Want)
		if d := cmp.Diff(p, Compute(in)); d != "" {
			t.Fatalf("the order of the input decides: %s", d)
		}
		w.do(p)

		wanted := map[object.ID]bool{}
		for _, u := range in.Want {
			wanted[object.IDOf(u)] = true
			if w.objects[object.IDOf(u)] == nil {
				t.Fatalf("%s is not there", object.IDOf(u))
			}
		}
		for id := range before {
			owner := OwnerOf(before[id])
			gone := in.Own.Has(id) && !wanted[id] && in.Claimed[id] == "" && owner == us
			if _, there := w.objects[id]; there == gone {
				t.Fatalf("%s: owned %v, wanted %v, claimed %q, of %v: there %v", id, in.Own.Has(id), wanted[id], in.Claimed[id], owner, there)
			}
		}
		in.Own = p.Inventory()
		in.Live = w.observe(in)
		if again := Compute(in); again.Writes() != 0 {
			for step := range again.All() {
				if step.Action.Writes() {
					t.Errorf("%s %s: %s %v", step.Action, step.ID, step.Why, step.Changes)
				}
			}
		}
	})
}

// What an update says it changes is what it changes, taking over included.
func TestChangesAreWhatApplyDoes(t *testing.T) {
	m := newModel()
	rapid.Check(t, func(t *rapid.T) {
		live := m.write(nil, filled(t, "x", "A"), Manager, true)
		if rapid.Bool().Draw(t, "by kubectl") {
			live = m.write(live, filled(t, "x", "B"), "kubectl", true)
		}
		desired := filled(t, "x", "C")
		id := object.IDOf(desired)
		w := world{m, map[object.ID]*unstructured.Unstructured{id: live}}
		in := Input{Want: []*unstructured.Unstructured{desired}}
		in.Live = w.observe(in)
		p := Compute(in)
		step := p.Stages[0].Steps[0]
		w.do(p)
		if d := cmp.Diff(diff.Fields(live, w.objects[id]), step.Changes); d != "" {
			t.Fatalf("said otherwise than done: %s\nlive %v\nwant %v\nafter %v", d, live.Object, desired.Object, w.objects[id].Object)
		}
	})
}
