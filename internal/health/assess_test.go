package health

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/internal/object"
)

func deployment(name string) object.ID {
	return object.ID{Group: "apps", Kind: "Deployment", Namespace: "ns", Name: name}
}

func TestAssess(t *testing.T) {
	a, b, c := deployment("a"), deployment("b"), deployment("c")
	current, failed := Verdict{Current, "fine"}, Verdict{Failed, "broken\nfor good"}
	progress := Verdict{InProgress, "Available: 0/1"}
	tests := map[string]struct {
		verdicts     map[object.ID]Verdict
		failFast     bool
		done, failed bool
		timedOut     string
		stalled      string
	}{
		"nothing":     {done: true},
		"all current": {verdicts: map[object.ID]Verdict{a: current, b: current}, done: true},
		"one waits": {verdicts: map[object.ID]Verdict{a: current, b: progress},
			timedOut: "timeout waiting for: [Deployment/ns/b status: 'InProgress']; Deployment/ns/b: Available: 0/1"},
		"failed and waiting": {verdicts: map[object.ID]Verdict{a: failed, b: progress}, failed: true,
			timedOut: "timeout waiting for: [Deployment/ns/a status: 'Failed', Deployment/ns/b status: 'InProgress']; Deployment/ns/a: broken for good; Deployment/ns/b: Available: 0/1",
			stalled:  "failed early due to stalled resources: [Deployment/ns/a status: 'Failed']; Deployment/ns/a: broken for good"},
		"failed and waiting, fast": {verdicts: map[object.ID]Verdict{a: failed, b: {Status: NotFound}}, failFast: true, done: true, failed: true,
			timedOut: "timeout waiting for: [Deployment/ns/a status: 'Failed', Deployment/ns/b status: 'NotFound']; Deployment/ns/a: broken for good",
			stalled:  "failed early due to stalled resources: [Deployment/ns/a status: 'Failed']; Deployment/ns/a: broken for good"},
		"only failed are left": {verdicts: map[object.ID]Verdict{a: current, b: failed}, done: true, failed: true,
			timedOut: "timeout waiting for: [Deployment/ns/b status: 'Failed']; Deployment/ns/b: broken for good",
			stalled:  "failed early due to stalled resources: [Deployment/ns/b status: 'Failed']; Deployment/ns/b: broken for good"},
		"unknown": {verdicts: map[object.ID]Verdict{c: {Unknown, "no such key: x"}, a: {}},
			timedOut: "timeout waiting for: [can't determine status for Deployment/ns/a, Deployment/ns/c status: 'Unknown': no such key: x]"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := Assess(test.verdicts, test.failFast)
			if got.Done != test.done || got.Failed != test.failed {
				t.Errorf("done %v, failed %v", got.Done, got.Failed)
			}
			if diff := cmp.Diff([]string{test.timedOut, test.stalled}, []string{got.TimedOut(), got.Stalled()}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMessagesAreBounded(t *testing.T) {
	verdicts := map[object.ID]Verdict{}
	for i := range 1000 {
		verdicts[deployment(fmt.Sprintf("d%03d", i))] = Verdict{InProgress, strings.Repeat("long ", 1000)}
	}
	text := Assess(verdicts, true).TimedOut()
	if len(text) > 16<<10 {
		t.Errorf("the text has %d bytes", len(text))
	}
	for _, want := range []string{"Deployment/ns/d099 status: 'InProgress', and 900 more]; ", "; Deployment/ns/d009: long", "; and 990 more"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the text", want)
		}
	}
}

// Done is what Flux stops at, and the answer does not depend on the order in
// which the verdicts come.
func TestAssessAnyVerdicts(t *testing.T) {
	statuses := []Status{Current, InProgress, Failed, Terminating, NotFound, Unknown}
	rapid.Check(t, func(t *rapid.T) {
		verdicts := map[object.ID]Verdict{}
		counts := map[Status]int{}
		for i, s := range rapid.SliceOfN(rapid.SampledFrom(statuses), 0, 12).Draw(t, "statuses") {
			verdicts[deployment(fmt.Sprint(i))] = Verdict{Status: s}
			counts[s]++
		}
		failFast := rapid.Bool().Draw(t, "failFast")
		got := Assess(verdicts, failFast)
		settled := counts[Current]+counts[Failed] == len(verdicts)
		if want := settled || failFast && counts[Failed] > 0; got.Done != want {
			t.Errorf("done %v for %v", got.Done, counts)
		}
		if got.Failed != (counts[Failed] > 0) || len(got.Waiting) != len(verdicts)-counts[Current] {
			t.Errorf("%+v for %v", got, counts)
		}
		if diff := cmp.Diff(got, Assess(verdicts, failFast)); diff != "" {
			t.Error(diff)
		}
	})
}
