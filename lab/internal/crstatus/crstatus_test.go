package crstatus

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-dev/sluice/lab/internal/steer"
)

func TestParse(t *testing.T) {
	const good = "{group: a.b, kind: K, steps: [{after: 1s, status: {x: 1}}]}"
	for _, tc := range []struct {
		name, text string
		rules      int
		problems   []string
	}{
		{"one", good, 1, nil},
		{"list", "- " + good + "\n- " + good, 2, nil},
		{"one of two is wrong", "- " + good + "\n- {group: a.b, kind: K}", 1, []string{"rule 2: K has no steps"}},
		{"no YAML", "a: b: c", 0, []string{"yaml"}},
		{"a sentence", "hello", 0, []string{"must be a mapping"}},
		{"unknown field", "{group: a.b, kind: K, step: []}", 0, []string{`unknown field "step"`}},
		{"built-in kind", "{group: apps, kind: Deployment, steps: [{status: {x: 1}}]}", 0, []string{"custom resources only"}},
		{"no kind", "{group: a.b, steps: [{status: {x: 1}}]}", 0, []string{"kind is missing"}},
		{"bad delay", "{group: a.b, kind: K, steps: [{after: 5, status: {x: 1}}]}", 0, []string{"5 is not a duration"}},
		{"no status", "{group: a.b, kind: K, steps: [{after: 5s}]}", 0, []string{"step 1 of K has no status"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rules, problems := parse(tc.text)
			if len(rules) != tc.rules || len(problems) != len(tc.problems) {
				t.Fatalf("%d rules, problems %q", len(rules), problems)
			}
			for i, want := range tc.problems {
				if !strings.Contains(problems[i], want) {
					t.Errorf("problem %q, want %q in it", problems[i], want)
				}
			}
		})
	}
}

func TestMatch(t *testing.T) {
	rule := Rule{Match: Match{Labels: map[string]string{"tier": "gold"}, Annotations: map[string]string{"a": ""}}}
	gold := map[string]string{"tier": "gold", "other": "x"}
	if rule.matches(gold, nil) || !rule.matches(gold, map[string]string{"a": ""}) || !(Rule{}).matches(nil, nil) {
		t.Error("a rule matches objects that have all its labels and annotations")
	}
}

func TestStepsFor(t *testing.T) {
	rule := builtin()[0]
	later := 5 * time.Second
	soon := 10 * time.Millisecond
	for _, tc := range []struct {
		name string
		wish steer.Wish
		want string
	}{
		{"default", steer.Wish{}, "100ms InProgress, 1s Completed"},
		{"late", steer.Wish{After: &later}, "100ms InProgress, 5s Completed"},
		{"soon", steer.Wish{After: &soon}, "10ms InProgress, 10ms Completed"},
		{"hang", steer.Wish{Behavior: steer.Hang}, "100ms InProgress"},
		{"fail late", steer.Wish{Behavior: steer.Fail, After: &later}, "100ms InProgress, 5s Aborted"},
	} {
		var got []string
		for _, step := range stepsFor(rule, tc.wish) {
			got = append(got, time.Duration(step.After).String()+" "+step.Status["status"].(string))
		}
		if text := strings.Join(got, ", "); text != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, text, tc.want)
		}
	}
	rule.Fail = nil
	if steps := stepsFor(rule, steer.Wish{Behavior: steer.Fail}); steps[1].Status["conditions"] == nil {
		t.Errorf("without a failure of its own: %v", steps[1].Status)
	}
}

func TestBegin(t *testing.T) {
	now := course{generation: 2, key: "k", since: start}
	if c := begin(nil, now, false, 2); c.done != 0 {
		t.Error("a new object begins")
	}
	if c := begin(nil, now, true, 2); c.done != 2 {
		t.Error("after a restart, an object that has its last status is done")
	}
	before := &course{generation: 2, key: "k", done: 1}
	if begin(before, now, true, 2) != before {
		t.Error("nothing changed")
	}
	if c := begin(&course{generation: 1, key: "k", done: 2}, now, true, 2); c.done != 0 {
		t.Error("a new generation begins anew, even if the old status would do")
	}
	if newer := (&course{generation: 3, key: "k", done: 1}); begin(newer, now, true, 2) != newer {
		t.Error("an object from a cache that lags behind our own write is not a change")
	}
	if c := begin(&course{generation: 2, key: "other", done: 2}, now, true, 2); c.done != 0 {
		t.Error("another rule or wish begins anew")
	}
}

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestRenderAndHolds(t *testing.T) {
	f := facts{generation: 7, name: "db", namespace: "ns", now: start}
	want := map[string]any{"phase": "Ready", "observedGeneration": "$generation", "endpoint": "$name", "replicas": float64(3),
		"conditions": []any{map[string]any{"type": "Ready", "lastTransitionTime": "$now"}}, "error": nil}
	rendered := render(want, f)

	data, _ := json.Marshal(rendered)
	var live map[string]any
	json.Unmarshal(data, &live)
	delete(live, "error") // null removes
	live["more"] = "from somebody else"
	if !holds(want, live, f, false) {
		t.Errorf("what was rendered holds: %s", data)
	}
	if live["observedGeneration"] != float64(7) || live["endpoint"] != "db" {
		t.Errorf("rendered %s", data)
	}
	f.generation = 8
	if holds(want, live, f, false) || !holds(want, live, f, true) {
		t.Error("another generation holds only where none can be written")
	}
	if holds(want, nil, f, true) {
		t.Error("nothing holds where there is no status")
	}
}

func TestKindOf(t *testing.T) {
	crd := &unstructured.Unstructured{}
	json.Unmarshal([]byte(`{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition",
	 "spec":{"group":"a.b","names":{"kind":"K","plural":"ks"},"versions":[
	  {"name":"v1","served":true,"storage":true,"subresources":{"status":{}}},{"name":"v2","served":true},{"name":"v0","served":false}]},
	 "status":{"conditions":[{"type":"Established","status":"True"}]}}`), &crd.Object)
	k, ok := kindOf(crd)
	if !ok || !k.serves("v2") || k.serves("v0") || !k.serves("") {
		t.Fatalf("%v %+v", ok, k)
	}
	v1 := schema.GroupVersionResource{Group: "a.b", Version: "v1", Resource: "ks"}
	if got := k.target(""); got != (target{resource: v1, hasStatus: true}) {
		t.Errorf("stored version: %+v", got)
	}
	if got := k.target("v2"); got.hasStatus || got.resource.Version != "v2" {
		t.Errorf("v2: %+v", got)
	}
	unstructured.RemoveNestedField(crd.Object, "status")
	if _, ok := kindOf(crd); ok {
		t.Error("a CRD that is not established is not served")
	}
}

func TestRulesOfNamesMissingVersion(t *testing.T) {
	kinds := map[schema.GroupKind]kind{{Group: "a.b", Kind: "K"}: {versions: []string{"v1", "v2"}}}
	config := &corev1.ConfigMap{Data: map[string]string{
		"b.yaml": "{group: a.b, version: v3, kind: K, steps: [{status: {x: 1}}]}",
		"a.yaml": "{group: a.b, version: v2, kind: K, steps: [{status: {x: 1}}]}",
	}}
	rules, problems := rulesOf(config, kinds)
	want := []string{"b.yaml: K of a.b has no version v3; it serves v1, v2"}
	if len(rules) != 1 || !reflect.DeepEqual(problems, want) {
		t.Errorf("%d rules, %q", len(rules), problems)
	}
}
