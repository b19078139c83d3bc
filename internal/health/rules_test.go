package health

import (
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/kustomize"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func checkFor(apiVersion, kind, inProgress, failed, current string) kustomize.CustomHealthCheck {
	return kustomize.CustomHealthCheck{APIVersion: apiVersion, Kind: kind,
		HealthCheckExpressions: kustomize.HealthCheckExpressions{InProgress: inProgress, Failed: failed, Current: current}}
}

func compile(t testing.TB, checks ...kustomize.CustomHealthCheck) *Rules {
	t.Helper()
	rules, err := Compile(checks)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func TestExpressions(t *testing.T) {
	rules := compile(t, checkFor("e.x/v1", "A", "has(data.busy)", "has(data.broken)", "data.fine"))
	tests := map[string]struct {
		rest    string
		want    Status
		message string
	}{
		"current":                           {"data: {fine: true}", Current, "current 'data.fine' holds"},
		"not yet":                           {"data: {fine: false}", InProgress, "current 'data.fine' does not hold yet"},
		"in progress first":                 {"data: {busy: 1, broken: 1, fine: true}", InProgress, "inProgress 'has(data.busy)' holds"},
		"then failed":                       {"data: {broken: 1, fine: true}", Failed, "failed 'has(data.broken)' holds"},
		"what the object says":              {"data: {broken: 1}\nstatus: {conditions: [{type: Ready, status: 'False', reason: Gone, message: no disk}]}", Failed, "(Gone: no disk)"},
		"an old generation before all":      {"data: {broken: 1}\nmetadata: {generation: 2}\nstatus: {observedGeneration: 1}", InProgress, "generation is 2"},
		"a generation that is no number":    {"data: {fine: true}\nmetadata: {generation: 2}\nstatus: {observedGeneration: '1'}", Current, ""},
		"the same generation":               {"data: {fine: true}\nmetadata: {generation: 2}\nstatus: {observedGeneration: 2}", Current, ""},
		"deleted before all":                {"data: {fine: true}\nmetadata: {deletionTimestamp: '2026-01-01T00:00:00Z'}", Terminating, "deletion"},
		"a field that is not there":         {"data: {}", Unknown, "failed to evaluate the CEL expression 'data.fine': no such key: fine"},
		"a top-level field that is not":     {"spec: {}", Unknown, "no such attribute(s): data"},
		"a value that is not true or false": {"data: {fine: 3}", Unknown, "failed to evaluate CEL expression as boolean: 'data.fine'"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := Judge(read(t, "apiVersion: e.x/v2\nkind: A\n"+test.rest), rules)
			if got.Status != test.want || !strings.Contains(got.Message, test.message) {
				t.Errorf("got %+v, want %s with %q", got, test.want, test.message)
			}
		})
	}
}

func TestWhichRule(t *testing.T) {
	rules := compile(t,
		checkFor("e.x/v1", "", "", "", "data.group"),
		checkFor("e.x/v1", "B", "", "", "data.own"),
		checkFor("batch/v1", "Job", "", "", "has(status.done)"))
	object := "metadata: {name: a}\ndata: {group: false, own: true}\n"
	for text, want := range map[string]Status{
		"apiVersion: e.x/v1\nkind: A\n" + object: InProgress,
		"apiVersion: e.x/v1\nkind: B\n" + object: Current,
		"apiVersion: y.x/v1\nkind: A\n" + object: Current, // kstatus
		// An expression comes before what is known of Jobs.
		"apiVersion: batch/v1\nkind: Job\nspec: {suspend: true}\nstatus: {}": InProgress,
		"apiVersion: batch/v1\nkind: Job\nstatus: {done: 1}":                 Current,
	} {
		if got := Judge(read(t, text), rules); got.Status != want {
			t.Errorf("%s: got %+v, want %s", text, got, want)
		}
	}
	for gk, want := range map[schema.GroupKind]bool{
		{Group: "e.x", Kind: "A"}: true, {Group: "e.x", Kind: "B"}: true, {Group: "y.x", Kind: "A"}: false,
		{Group: "batch", Kind: "Job"}: true, {Group: "batch", Kind: "CronJob"}: false,
	} {
		if got := rules.Covers(gk); got != want {
			t.Errorf("%s: covers %v", gk, got)
		}
	}
	if (*Rules)(nil).Covers(schema.GroupKind{Kind: "A"}) {
		t.Error("no rules cover nothing")
	}
}

func TestCompileErrors(t *testing.T) {
	tests := map[string]struct {
		checks []kustomize.CustomHealthCheck
		want   string
	}{
		"twice": {[]kustomize.CustomHealthCheck{checkFor("e.x/v1", "A", "", "", "true"), checkFor("e.x/v2", "A", "", "", "true")},
			"duplicate custom health check for GroupKind A.e.x at healthchecks[1]"},
		"none": {[]kustomize.CustomHealthCheck{checkFor("e.x/v1", "A", "true", "", "")},
			"failed to create custom status evaluator for healthchecks[0]: expression Current not specified"},
		"no expression": {[]kustomize.CustomHealthCheck{checkFor("e.x/v1", "A", "foo.", "", "true")},
			"failed to create custom status evaluator for healthchecks[0]: failed to parse the expression InProgress: failed to parse the CEL expression 'foo.': ERROR: <input>:1:5: Syntax error"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := Compile(test.checks); err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestSecretsAreNotQuoted(t *testing.T) {
	rules := compile(t, checkFor("v1", "Secret", "", "", "{'a': 1}[data.password] == 1"))
	got := Judge(read(t, "apiVersion: v1\nkind: Secret\ndata: {password: aHVudGVyMg==}"), rules)
	if got.Status != Unknown || strings.Contains(got.Message, "aHVudGVyMg==") {
		t.Errorf("got %+v", got)
	}
}

func FuzzExpressions(f *testing.F) {
	f.Add("status.conditions.filter(e, e.type == 'Ready').all(e, e.status == 'True')")
	f.Add("has(status.x) && {1: 'a'}[1] == 'a' || [1, 2].exists(x, x > 1)")
	f.Add("optional.of(1).optMap(v, v + 1).value() == 2 && 'a'.replace('a', 'b') == 'b'")
	f.Add("'%s'.format([status]) == ''")
	u := read(f, "apiVersion: e.x/v1\nkind: A\nmetadata: {name: a, generation: 1}\nstatus: {x: 1, conditions: [{type: Ready, status: 'True'}]}")
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := Compile([]kustomize.CustomHealthCheck{checkFor("e.x/v1", "A", "", "", text)})
		if err != nil {
			return
		}
		if got := Judge(u, rules); got.Status == "" {
			t.Error("no verdict")
		}
	})
}
