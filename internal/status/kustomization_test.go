package status

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/internal/event"
)

var app = Delivery{Object: event.Object{Kind: "Kustomization", Namespace: "apps", Name: "app"}, Generation: 2}

// The events of a roll-out of a revision. Their time is set by at.
func attempt(revision string) event.Attempt {
	return event.Attempt{Revision: revision, Origin: "main@" + revision, Digest: "sha256:" + revision}
}

func planned(revision string) event.Event {
	return event.Event{Planned: &event.Planned{
		Attempt: attempt(revision), Timeout: time.Minute, Checks: true, Summary: "2 to create",
		Inventory: []event.Item{{ID: "ns_a__ConfigMap", Version: "v1"}, {ID: "ns_old__ConfigMap", Version: "v1"}},
	}}
}

func changed(lines ...string) event.Event {
	var list []event.Change
	for _, l := range lines {
		object, action, _ := strings.Cut(l, " ")
		list = append(list, event.Change{Object: object, Action: action})
	}
	return event.Event{Changed: &event.Changed{Objects: list}}
}

func checking(revision string) event.Event {
	return event.Event{Checking: &event.Checking{Attempt: attempt(revision), Timeout: time.Minute}}
}

func delivered(revision string) event.Event {
	return event.Event{Delivered: &event.Delivered{
		Attempt: attempt(revision), Inventory: []event.Item{{ID: "ns_a__ConfigMap", Version: "v1"}}, Checked: true, Took: 2 * time.Second, Next: time.Minute,
	}}
}

func failed(step event.Step, text string) event.Event {
	a := attempt("v2")
	return event.Event{Failed: &event.Failed{Step: step, Text: text, Attempt: &a}}
}

func stalledAt(step event.Step) event.Event {
	e := failed(step, "no")
	e.Failed.Stalled = true
	return e
}

func waitingOn(on event.WaitingOn, text string) event.Event {
	return event.Event{Waiting: &event.Waiting{Attempt: attempt("v2"), On: on, Text: text}}
}

var healthyNow = event.Event{Healthy: &event.Healthy{Took: 1500 * time.Millisecond}}

func at(second int, events ...event.Event) []event.Event {
	list := make([]event.Event, len(events))
	for i, e := range events {
		e.At = time.Unix(int64(second), 0)
		list[i] = e
	}
	return list
}

// says prints conditions without the times.
func says(s kustomizev1.KustomizationStatus) []string {
	var out []string
	for _, c := range s.Conditions {
		out = append(out, fmt.Sprintf("%s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message))
	}
	return out
}

func told(notices []event.Notice) []string {
	var out []string
	for _, n := range notices {
		line := fmt.Sprintf("%s %s: %s", n.Severity, n.Reason, n.Message)
		if n.Metadata["kustomize.toolkit.fluxcd.io/commit_status"] == "update" {
			line += " [commit]"
		}
		out = append(out, line)
	}
	return out
}

func TestFoldKustomization(t *testing.T) {
	none := kustomizev1.KustomizationStatus{ObservedGeneration: -1}
	ready, _ := FoldKustomization(none, app, at(10, planned("v1"), healthyNow, delivered("v1")))
	newer := app
	newer.Generation = 3
	asked := app
	asked.RequestedAt = "now"
	bad, _ := FoldKustomization(ready, app, at(20, failed(event.StepHealth, "health check failed after 3s: x")))
	const applied = "Ready=True ReconciliationSucceeded: Applied revision: "
	const passed = "Healthy=True Succeeded: Health check passed in 1.5s"
	inProgress := "Ready=Unknown Progressing: Reconciliation in progress"
	checks := "Healthy=Unknown Progressing: Running health checks for revision v2 with a timeout of 1m0s"
	for name, c := range map[string]struct {
		previous kustomizev1.KustomizationStatus
		about    Delivery
		events   []event.Event
		want     []string
		notices  []string
	}{
		"planned": {
			none, app, at(30, planned("v2")),
			[]string{"Reconciling=True Progressing: Applying revision v2 with a timeout of 1m0s: 2 to create; then running health checks", inProgress, checks}, nil,
		},
		"health is waited for after a plan": {
			none, app, at(30, planned("v2"), changed("ConfigMap/ns/a created"), checking("v2")),
			[]string{"Reconciling=True Progressing: Applying revision v2 with a timeout of 1m0s: 2 to create; then running health checks", inProgress, checks},
			[]string{"info Progressing: ConfigMap/ns/a created"},
		},
		"health is waited for without a write": {
			ready, app, at(30, checking("v2")),
			[]string{"Reconciling=True Progressing: Running health checks for revision v2 with a timeout of 1m0s", inProgress, checks}, nil,
		},
		"health is looked at again": {ready, app, at(30, checking("v1")), []string{applied + "v1", passed}, nil},
		"health is waited for again after a failure": {
			bad, app, at(30, checking("v2")),
			says(bad), nil,
		},
		"delivered": {
			ready, app, at(30, planned("v2"), changed("ConfigMap/ns/a created"), healthyNow, delivered("v2")),
			[]string{applied + "v2", passed},
			[]string{
				"info Progressing: ConfigMap/ns/a created", "info Progressing: Health check passed in 1.5s",
				"info ReconciliationSucceeded: Reconciliation finished in 2s, next run in 1m0s [commit]",
			},
		},
		"nothing new":            {ready, app, at(30, healthyNow, delivered("v1")), []string{applied + "v1", passed}, nil},
		"requested, nothing new": {ready, asked, at(30, delivered("v1")), []string{applied + "v1", passed}, nil},
		"drift": {
			ready, app, at(30, planned("v1"), changed("ConfigMap/ns/a configured"), healthyNow, delivered("v1")),
			[]string{applied + "v1", passed},
			[]string{"info Progressing: ConfigMap/ns/a configured"},
		},
		"a new spec": {
			ready, newer, at(30, healthyNow, delivered("v1")), []string{applied + "v1", passed},
			[]string{"info ReconciliationSucceeded: Reconciliation finished in 2s, next run in 1m0s [commit]"},
		},
		"a build that fails": {
			ready, app, at(30, failed(event.StepBuild, "no")),
			[]string{"Reconciling=True ProgressingWithRetry: no", "Ready=False BuildFailed: no", passed},
			[]string{"error BuildFailed: no"},
		},
		"an apply that fails half-way": {
			ready, app, at(30, planned("v2"), changed("ConfigMap/ns/a created"), failed(event.StepApply, "b apply failed: no")),
			[]string{
				"Reconciling=True ProgressingWithRetry: Applying revision v2 with a timeout of 1m0s: 2 to create; then running health checks", "Ready=False ReconciliationFailed: b apply failed: no\nConfigMap/ns/a created", passed,
			},
			[]string{"error ReconciliationFailed: b apply failed: no\nConfigMap/ns/a created"},
		},
		"the same failure after another time": {bad, app, at(30, failed(event.StepHealth, "health check failed after 9s: x")), says(bad), nil},
		"another failure": {
			bad, app, at(30, failed(event.StepHealth, "health check failed after 9s: y")),
			[]string{
				"Reconciling=True ProgressingWithRetry: health check failed after 9s: y", "Ready=False HealthCheckFailed: health check failed after 9s: y",
				"Healthy=False HealthCheckFailed: health check failed after 9s: y",
			},
			[]string{"error HealthCheckFailed: health check failed after 9s: y"},
		},
		"health that fails": {
			ready, app, at(30, planned("v2"), checking("v2"), failed(event.StepHealth, "health check failed after 9s: y")),
			[]string{
				"Reconciling=True ProgressingWithRetry: Running health checks for revision v2 with a timeout of 1m0s", "Ready=False HealthCheckFailed: health check failed after 9s: y",
				"Healthy=False HealthCheckFailed: health check failed after 9s: y",
			},
			[]string{"error HealthCheckFailed: health check failed after 9s: y"},
		},
		"stalled": {
			ready, newer, at(30, stalledAt(event.StepExpr)),
			[]string{"Stalled=True InvalidCELExpression: no", "Ready=False InvalidCELExpression: no", passed},
			[]string{"error InvalidCELExpression: no"},
		},
		"access denied": {
			none, app, at(30, stalledAt(event.StepAccess)),
			[]string{"Stalled=True AccessDenied: no", "Ready=False AccessDenied: no"},
			[]string{"error AccessDenied: no"},
		},
		"a dependency": {
			none, app, at(30, waitingOn(event.OnDependency, "dependency 'ns/db' is not ready")),
			[]string{
				"Reconciling=True ProgressingWithRetry: dependency 'ns/db' is not ready", "Ready=False DependencyNotReady: dependency 'ns/db' is not ready",
			},
			[]string{"info DependencyNotReady: Dependencies do not meet ready condition: dependency 'ns/db' is not ready"},
		},
		"a source": {
			none, app, at(30, waitingOn(event.OnSource, "Source artifact not found")),
			[]string{"Reconciling=True ProgressingWithRetry: Source artifact not found", "Ready=False ArtifactFailed: Source artifact not found"}, nil,
		},
		"regained": {
			bad, app, at(30, healthyNow, delivered("v1")), []string{applied + "v1", passed},
			[]string{"info Progressing: Health check passed in 1.5s", "info ReconciliationSucceeded: Reconciliation finished in 2s, next run in 1m0s [commit]"},
		},
		"removed, and something stays": {
			ready, app, at(30, changed("ConfigMap/ns/a deleted"), event.Event{Removed: &event.Removed{Left: []string{"x"}, Why: "stuck"}}),
			[]string{applied + "v1", passed},
			[]string{"info Progressing: ConfigMap/ns/a deleted", "error PruneFailed: stuck: \nx"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			next, notices := FoldKustomization(c.previous, c.about, c.events)
			if diff := cmp.Diff(c.want, says(next)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.notices, told(notices)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFoldKustomizationRest(t *testing.T) {
	none := kustomizev1.KustomizationStatus{ObservedGeneration: -1}
	half, _ := FoldKustomization(none, app, at(10, planned("v1"), changed("Job/ns/j created"), failed(event.StepApply, "no")))
	if half.ObservedGeneration != -1 || half.LastAppliedRevision != "" || half.LastAttemptedRevision != "v2" || len(half.Inventory.Entries) != 2 {
		t.Errorf("a failure keeps what was planned: %+v", half)
	}
	want := map[string]string{"revision": "v2", "originRevision": "main@v2", "job/ns/j": "sha256:v2"}
	if diff := cmp.Diff(want, half.History[0].Metadata); diff != "" {
		t.Error(diff)
	}
	again, _ := FoldKustomization(half, app, at(20, failed(event.StepHealth, "health")))
	if diff := cmp.Diff(want, again.History[0].Metadata); diff != "" {
		t.Errorf("a Job is forgotten: %s", diff)
	}
	denied := failed(event.StepAccess, "no")
	denied.Failed.Attempt = &event.Attempt{}
	if next, _ := FoldKustomization(again, app, at(20, denied)); next.LastAttemptedRevision != "v2" {
		t.Error("a failure without an artifact forgets the last attempt")
	}
	ready, _ := FoldKustomization(again, app, at(30, planned("v2"), delivered("v2")))
	if h := ready.History; len(h) != 3 || h[0].LastReconciledStatus != "ReconciliationSucceeded" || ready.ObservedGeneration != 2 || ready.LastAppliedOriginRevision != "main@v2" {
		t.Errorf("delivered: %+v", ready)
	}
}

// A condition that was seen to be something else in between has changed, also if
// it says in the end what it said before.
func TestTransitionTimes(t *testing.T) {
	ready, _ := FoldKustomization(kustomizev1.KustomizationStatus{}, app, at(10, planned("v1"), healthyNow, delivered("v1")))
	same, _ := FoldKustomization(ready, app, at(20, healthyNow, delivered("v1")))
	drift, _ := FoldKustomization(same, app, append(at(30, planned("v1"), changed("ConfigMap/ns/a configured")), at(31, healthyNow, delivered("v1"))...))
	for want, s := range map[int64]kustomizev1.KustomizationStatus{10: same, 31: drift} {
		c := conditions{list: s.Conditions}
		if got := c.get(meta.ReadyCondition).LastTransitionTime.Unix(); got != want {
			t.Errorf("Ready since %d, want %d", got, want)
		}
	}
}

func genEvents() *rapid.Generator[[]event.Event] {
	return rapid.Custom(func(t *rapid.T) []event.Event {
		revision := rapid.SampledFrom([]string{"v1", "v2"}).Draw(t, "revision")
		var events []event.Event
		if rapid.Bool().Draw(t, "waits") {
			events = append(events, waitingOn(rapid.SampledFrom([]event.WaitingOn{event.OnSource, event.OnDependency}).Draw(t, "on"), rapid.SampledFrom([]string{"x", "y"}).Draw(t, "text")))
		}
		if rapid.Bool().Draw(t, "writes") {
			events = append(events, planned(revision), changed("ConfigMap/ns/a configured"))
		}
		if rapid.Bool().Draw(t, "checks") {
			events = append(events, checking(revision))
		}
		steps := []event.Step{event.StepAccept, event.StepBuild, event.StepApply, event.StepPrune, event.StepHealth, "unheard of"}
		switch rapid.IntRange(0, 3).Draw(t, "outcome") {
		case 0:
			events = append(events, healthyNow, delivered(revision))
		case 1:
			text := fmt.Sprintf("health check failed after %ds: x", rapid.IntRange(1, 9).Draw(t, "took"))
			events = append(events, failed(rapid.SampledFrom(steps).Draw(t, "step"), text))
		case 2:
			events = append(events, stalledAt(rapid.SampledFrom(steps).Draw(t, "step")))
		}
		return events
	})
}

// Whatever happens after whatever: conditions agree with each other as kstatus
// wants it, every prefix leads to a valid status, a repetition without writes
// changes nothing and tells nothing, and a recording says the same.
func TestFoldKustomizationInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		status := kustomizev1.KustomizationStatus{ObservedGeneration: -1}
		for i, events := range rapid.SliceOfN(genEvents(), 1, 5).Draw(t, "roll-outs") {
			about := app
			about.Generation = int64(1 + i/2)
			events = at(100*i, events...)
			toldBefore := 0
			for n := range events {
				next, notices := FoldKustomization(status, about, events[:n+1])
				agree(t, next, about)
				if len(notices) < toldBefore {
					t.Fatalf("notices went away with %+v", events[n])
				}
				toldBefore = len(notices)
			}
			next, notices := FoldKustomization(status, about, events)
			if len(notices) > 4 {
				t.Fatalf("too much is told: %v", told(notices))
			}
			replay(t, status, about, events)
			status = next
			if repeats := at(100*i+50, lasting(events)...); len(repeats) > 0 {
				again, notices := FoldKustomization(status, about, repeats)
				if diff := cmp.Diff(status, again); diff != "" {
					t.Fatalf("the same again changes:\n%s", diff)
				}
				if len(notices) > 0 {
					t.Fatalf("the same again tells %v", told(notices))
				}
			}
		}
	})
}

// lasting is what comes of trying again when there is nothing to write: the
// outcome, or the wait.
func lasting(events []event.Event) []event.Event {
	if len(events) == 0 {
		return nil
	}
	if n := len(events); n > 1 && events[n-1].Delivered != nil {
		return events[n-2:]
	}
	if last := events[len(events)-1]; last.Failed != nil || last.Waiting != nil {
		return []event.Event{last}
	}
	return nil
}

func agree(t *rapid.T, s kustomizev1.KustomizationStatus, about Delivery) {
	c := conditions{list: s.Conditions}
	ready := c.get(meta.ReadyCondition)
	switch {
	case ready.Status == "" && len(s.Conditions) > 0:
		t.Fatalf("no Ready: %v", says(s))
	case ready.Status == metav1.ConditionTrue && (c.isTrue(meta.ReconcilingCondition) || c.isTrue(meta.StalledCondition) || s.ObservedGeneration != about.Generation && ready.ObservedGeneration == about.Generation):
		t.Fatalf("ready and yet %v", says(s))
	case c.isTrue(meta.ReconcilingCondition) && c.isTrue(meta.StalledCondition):
		t.Fatalf("reconciling and stalled: %v", says(s))
	case ready.Status == metav1.ConditionFalse && !c.isTrue(meta.StalledCondition) && c.get(meta.ReconcilingCondition).Reason != meta.ProgressingWithRetryReason:
		t.Fatalf("not ready, and neither tried again nor stalled: %v", says(s))
	case ready.Status == metav1.ConditionUnknown && c.get(meta.ReconcilingCondition).Reason != meta.ProgressingReason:
		t.Fatalf("unknown, and not in progress: %v", says(s))
	case c.isTrue(meta.StalledCondition) && s.ObservedGeneration != ready.ObservedGeneration:
		t.Fatalf("stalled for generation %d, observed %d", ready.ObservedGeneration, s.ObservedGeneration)
	}
}

func replay(t *rapid.T, previous kustomizev1.KustomizationStatus, about Delivery, events []event.Event) {
	raw, err := json.Marshal(events)
	if err != nil {
		t.Fatal(err)
	}
	var recorded []event.Event
	if err := json.Unmarshal(raw, &recorded); err != nil {
		t.Fatal(err)
	}
	next, notices := FoldKustomization(previous, about, events)
	nextAgain, noticesAgain := FoldKustomization(previous, about, recorded)
	if diff := cmp.Diff(next, nextAgain) + cmp.Diff(told(notices), told(noticesAgain)); diff != "" {
		t.Fatalf("a recording says something else:\n%s", diff)
	}
}
