package plan

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"
)

// The claim that saves a request is never wrong: where the record says that an
// object is converged, applying it changes neither a value nor who owns what.
func TestSatisfiedMeansThatApplyingChangesNothing(t *testing.T) {
	m := newModel()
	claimed, asked := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		var live *unstructured.Unstructured
		var desired *unstructured.Unstructured
		for i := range rapid.IntRange(1, 4).Draw(t, "writes") {
			label := string(rune('A' + i))
			config := someObject(t, "x", label)
			manager := rapid.SampledFrom([]string{Manager, "hpa", "kubectl"}).Draw(t, label+"manager")
			apply := manager == Manager || rapid.Bool().Draw(t, label+"apply")
			live = m.write(live, config, manager, apply)
			if manager == Manager {
				desired = config
			}
		}
		if desired == nil || rapid.Bool().Draw(t, "another") {
			desired = someObject(t, "x", "Z")
		}
		asked++
		owned, ok := OwnedBy(live, Manager)
		if !ok || !owned.Satisfies(desired) {
			return
		}
		claimed++
		after := m.write(live, desired, Manager, true)
		if drifted(live, after) {
			t.Fatalf("claimed to be converged, but applying changes it: %s", cmp.Diff(live.Object, after.Object))
		}
	})
	if claimed < asked/20 {
		t.Errorf("of %d objects only %d were known to be converged: the test shows nothing", asked, claimed)
	}
}

// Right after an apply the claim is made: without defaults nothing stands in
// its way.
func TestSatisfiedAfterApply(t *testing.T) {
	m := newModel()
	rapid.Check(t, func(t *rapid.T) {
		var live *unstructured.Unstructured
		if rapid.Bool().Draw(t, "exists") {
			live = m.write(nil, someObject(t, "x", "A"), "hpa", rapid.Bool().Draw(t, "apply"))
		}
		desired := withoutEmptyLists(someObject(t, "x", "B"))
		// An empty spec cannot be told from one that is owned as a whole.
		desired.Object["spec"].(map[string]any)["replicas"] = int64(1)
		live = m.write(live, desired, Manager, true)
		owned, ok := OwnedBy(live, Manager)
		if !ok {
			if len(live.GetManagedFields()) == 0 {
				return // an object without a field has no entry
			}
			for _, entry := range live.GetManagedFields() {
				if entry.Manager == Manager {
					t.Fatal("our entry cannot be read")
				}
			}
			return
		}
		if !owned.Satisfies(desired) {
			t.Fatalf("not satisfied right after the apply of %v: live %v\nowned %s", desired.Object, live.Object, owned.Fields)
		}
	})
}

// Taking one leaf away or changing it is always seen.
func TestSatisfiesSeesEveryLeaf(t *testing.T) {
	m := newModel()
	rapid.Check(t, func(t *rapid.T) {
		desired := withoutEmptyLists(someObject(t, "x", "A"))
		live := m.write(nil, desired, Manager, true)
		owned, ok := OwnedBy(live, Manager)
		if !ok {
			return
		}
		spec := desired.Object["spec"].(map[string]any)
		for _, name := range []string{"replicas", "strategy", "items", "tags", "args", "selector"} {
			other := desired.DeepCopy()
			if _, there := spec[name]; there {
				unstructured.RemoveNestedField(other.Object, "spec", name)
			} else {
				unstructured.SetNestedField(other.Object, "new", "spec", name)
			}
			if owned.Satisfies(other) {
				t.Fatalf("without the change of %s: %v satisfies what was made by %v", name, other.Object, desired.Object)
			}
		}
	})
}

func TestSatisfiesTable(t *testing.T) {
	fields := `{"f:metadata":{"f:labels":{"f:app":{}}},"f:spec":{"f:replicas":{},"f:strategy":{},"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:image":{},"f:name":{},"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:protocol":{}}},"f:resources":{}}}}}}}`
	live := parse(t, `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"x","labels":{"app":"x","foreign":"y"},
	  "managedFields":[{"manager":"kustomize-controller","operation":"Apply","apiVersion":"apps/v1","fieldsType":"FieldsV1","fieldsV1":`+fields+`}]},
	  "spec":{"replicas":2,"paused":true,"strategy":{"type":"RollingUpdate"},"template":{"spec":{"containers":[{"name":"sidecar"},
	    {"name":"app","image":"i:1","resources":{},"terminationMessagePath":"/x","ports":[{"containerPort":80,"protocol":"TCP"}]}]}}}}`)
	owned, ok := OwnedBy(live, Manager)
	if !ok {
		t.Fatal("nothing is owned")
	}
	const wanted = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"x","creationTimestamp":null,"labels":{"app":"x"}},
	  "spec":{"replicas":2.0,"strategy":{},"template":{"spec":{"containers":[{"name":"app","image":"i:1","resources":{},"ports":[{"containerPort":80,"protocol":"TCP"}]}]}}}}`
	for name, tc := range map[string]struct {
		path  []string
		value any
		want  bool
	}{
		"the same":                  {nil, nil, true},
		"another version":           {[]string{"apiVersion"}, "apps/v2", false},
		"another value":             {[]string{"spec", "replicas"}, int64(3), false},
		"a text for a number":       {[]string{"spec", "replicas"}, "2", false},
		"a field that is not ours":  {[]string{"spec", "paused"}, true, false},
		"a label more":              {[]string{"metadata", "labels", "foreign"}, "y", false},
		"an empty map more":         {[]string{"metadata", "annotations"}, map[string]any{}, false},
		"a filled struct":           {[]string{"spec", "strategy"}, map[string]any{"type": "RollingUpdate"}, false},
		"an element less":           {[]string{"spec", "template", "spec", "containers"}, []any{}, false},
		"an element of another key": {[]string{"spec", "template", "spec", "containers"}, []any{map[string]any{"name": "other"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			desired := parse(t, wanted)
			if tc.path != nil {
				if err := unstructured.SetNestedField(desired.Object, tc.value, tc.path...); err != nil {
					t.Fatal(err)
				}
			}
			if got := owned.Satisfies(desired); got != tc.want {
				t.Errorf("Satisfies = %v, want %v", got, tc.want)
			}
		})
	}
}

// withoutEmptyLists leaves out empty lists with keys: managedFields does not have
// them, so that nothing can be told of them.
func withoutEmptyLists(u *unstructured.Unstructured) *unstructured.Unstructured {
	for _, name := range []string{"items", "tags"} {
		if list, found, _ := unstructured.NestedSlice(u.Object, "spec", name); found && len(list) == 0 {
			unstructured.RemoveNestedField(u.Object, "spec", name)
		}
	}
	return u
}

func parse(t testing.TB, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return u
}
