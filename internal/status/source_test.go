package status

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/internal/event"
)

var about1 = Source{
	Object:     event.Object{Kind: "OCIRepository", Namespace: "apps", Name: "app"},
	Generation: 3, RequestedAt: "now", URL: "oci://ghcr.io/org/app",
}

func stored(at time.Time, tag, digest string) event.Event {
	return event.Event{At: at, Stored: &event.Stored{Revision: tag + "@sha256:m", Path: "p", URL: "u", Latest: "l", Digest: digest, Size: 1}}
}

func lines(s sourcev1.OCIRepositoryStatus) []string {
	var out []string
	for _, c := range s.Conditions {
		out = append(out, fmt.Sprintf("%s=%s %s", c.Type, c.Status, c.Reason))
	}
	return out
}

func reasons(notices []event.Notice) string {
	var out []string
	for _, n := range notices {
		out = append(out, string(n.Severity)+" "+n.Reason)
	}
	return strings.Join(out, ", ")
}

func TestFoldOCI(t *testing.T) {
	now := time.Unix(1000, 0)
	good, _ := FoldOCI(sourcev1.OCIRepositoryStatus{ObservedGeneration: -1}, about1, []event.Event{stored(now, "v1", "sha256:a")})
	failed := event.Event{At: now, Failed: &event.Failed{Step: event.StepPull, Text: "no"}}
	bad, _ := FoldOCI(good, about1, []event.Event{failed})
	newer := about1
	newer.Generation = 4
	for _, c := range []struct {
		name     string
		previous sourcev1.OCIRepositoryStatus
		about    Source
		events   []event.Event
		want     []string
		notices  string
		observed int64
		revision string
	}{
		{
			"first artifact", sourcev1.OCIRepositoryStatus{ObservedGeneration: -1}, about1, []event.Event{stored(now, "v1", "sha256:a")},
			[]string{"Ready=True Succeeded", "ArtifactInStorage=True Succeeded"}, "info NewArtifact", 3, "v1@sha256:m",
		},
		{
			"nothing new", good, about1, []event.Event{{At: now, Unchanged: &event.Unchanged{Revision: "v1@sha256:m", URL: "u", Latest: "l"}}},
			[]string{"Ready=True Succeeded", "ArtifactInStorage=True Succeeded"}, "", 3, "v1@sha256:m",
		},
		{
			"the revision moves, the content stays", good, about1, []event.Event{stored(now, "v2", "sha256:a")},
			[]string{"Ready=True Succeeded", "ArtifactInStorage=True Succeeded"}, "", 3, "v2@sha256:m",
		},
		{
			"failure keeps the artifact and the observed generation", good, newer, []event.Event{failed},
			[]string{
				"Reconciling=True ProgressingWithRetry", "Ready=False OCIArtifactPullFailed", "FetchFailed=True OCIArtifactPullFailed", "ArtifactInStorage=True Succeeded",
			}, "error OCIArtifactPullFailed", 3, "v1@sha256:m",
		},
		{
			"the same failure again is no news", bad, about1, []event.Event{failed},
			[]string{
				"Reconciling=True ProgressingWithRetry", "Ready=False OCIArtifactPullFailed", "ArtifactInStorage=True Succeeded", "FetchFailed=True OCIArtifactPullFailed",
			}, "", 3, "v1@sha256:m",
		},
		{
			"recovery is news", bad, about1, []event.Event{{At: now, Unchanged: &event.Unchanged{Revision: "v1@sha256:m", URL: "u", Latest: "l"}}},
			[]string{"Ready=True Succeeded", "ArtifactInStorage=True Succeeded"}, "info Succeeded", 3, "v1@sha256:m",
		},
		{
			"a wrong spec stalls", good, newer, []event.Event{{At: now, Failed: &event.Failed{Step: event.StepURL, Text: "no", Stalled: true}}},
			[]string{"Stalled=True URLInvalid", "Ready=False URLInvalid", "FetchFailed=True URLInvalid", "ArtifactInStorage=True Succeeded"}, "error URLInvalid", 4, "v1@sha256:m",
		},
		{
			"a disk that fails", good, about1, []event.Event{{At: now, Failed: &event.Failed{Step: event.StepStore, Text: "full"}}},
			[]string{
				"Reconciling=True ProgressingWithRetry", "Ready=False ArchiveOperationFailed", "ArtifactInStorage=True Succeeded",
				"StorageOperationFailed=True ArchiveOperationFailed",
			}, "error ArchiveOperationFailed", 3, "v1@sha256:m",
		},
		{
			"a new revision on its way", good, about1, []event.Event{
				{At: now, Asking: &event.Asking{Repository: "r"}}, {At: now, Found: &event.Found{Revision: "v2@sha256:n", Reference: "r:v2"}},
			},
			[]string{"Reconciling=True Progressing", "Ready=Unknown Progressing", "ArtifactInStorage=True Succeeded", "ArtifactOutdated=True NewRevision"}, "", 3, "v1@sha256:m",
		},
		{
			"a routine look shows nothing", good, about1, []event.Event{{At: now, Asking: &event.Asking{Repository: "r"}}},
			[]string{"Ready=True Succeeded", "ArtifactInStorage=True Succeeded"}, "", 3, "v1@sha256:m",
		},
		{
			"lost and not yet back", good, about1, []event.Event{{At: now, Lost: &event.Lost{Path: "p"}}, failed},
			[]string{"Reconciling=True ProgressingWithRetry", "Ready=False OCIArtifactPullFailed", "FetchFailed=True OCIArtifactPullFailed"}, "error OCIArtifactPullFailed", 3, "v1@sha256:m",
		},
		{
			"held", good, about1, []event.Event{
				{At: now, Held: &event.Held{Tag: "v1", Best: "v0", Rule: "r"}}, {At: now, Unchanged: &event.Unchanged{Revision: "v1@sha256:m", URL: "u", Latest: "l"}},
			},
			[]string{"Ready=True Succeeded", "ArtifactInStorage=True Succeeded"}, "error TagDisappeared", 3, "v1@sha256:m",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			next, notices := FoldOCI(c.previous, c.about, c.events)
			if diff := cmp.Diff(c.want, lines(next)); diff != "" {
				t.Error(diff)
			}
			if got := reasons(notices); got != c.notices {
				t.Errorf("notices %q, want %q", got, c.notices)
			}
			if next.ObservedGeneration != c.observed {
				t.Errorf("observed generation %d, want %d", next.ObservedGeneration, c.observed)
			}
			revision := ""
			if next.Artifact != nil {
				revision = next.Artifact.Revision
			}
			if revision != c.revision {
				t.Errorf("revision %q, want %q", revision, c.revision)
			}
			for _, x := range next.Conditions {
				if x.ObservedGeneration != c.about.Generation && x.Type == meta.ReadyCondition && len(c.notices) > 0 {
					t.Errorf("%s is for generation %d", x.Type, x.ObservedGeneration)
				}
			}
		})
	}
}

// outcomes that a run can end with, in any order over any history.
func genRun() *rapid.Generator[[]event.Event] {
	return rapid.Custom(func(t *rapid.T) []event.Event {
		now := time.Unix(rapid.Int64Range(1, 1e6).Draw(t, "now"), 0)
		var run []event.Event
		add := func(e event.Event) {
			e.At = now
			run = append(run, e)
		}
		if rapid.Bool().Draw(t, "lost") {
			add(event.Event{Lost: &event.Lost{Path: "p"}})
		}
		if rapid.Bool().Draw(t, "held") {
			add(event.Event{Held: &event.Held{Tag: "v1", Rule: "r"}})
		}
		steps := []event.Step{event.StepURL, event.StepSelect, event.StepPull, event.StepLayer, event.StepStore, "unheard of"}
		switch rapid.IntRange(0, 3).Draw(t, "outcome") {
		case 0:
			run = append(run, stored(now, rapid.SampledFrom([]string{"v1", "v2"}).Draw(t, "tag"), rapid.SampledFrom([]string{"sha256:a", "sha256:b"}).Draw(t, "digest")))
		case 1:
			add(event.Event{Unchanged: &event.Unchanged{Revision: "v1@sha256:m", URL: "u", Latest: "l"}})
		case 2:
			add(event.Event{Failed: &event.Failed{Step: rapid.SampledFrom(steps).Draw(t, "step"), Text: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "text"), Stalled: rapid.Bool().Draw(t, "stalled")}})
		case 3:
			add(event.Event{Found: &event.Found{Revision: "v2@sha256:n", Reference: "r:v2"}})
		}
		return run
	})
}

// Whatever happened before: the conditions of a status agree with each other
// in the way that kstatus and Flux's tools rely on, and folding the same run
// again changes nothing and tells nothing.
func TestFoldInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		status := sourcev1.OCIRepositoryStatus{ObservedGeneration: -1}
		for i, run := range rapid.SliceOfN(genRun(), 1, 6).Draw(t, "runs") {
			about := about1
			about.Generation = int64(i + 1)
			status, _ = FoldOCI(status, about, run)
			c := conditions{list: status.Conditions}
			ready := c.get(meta.ReadyCondition).Status
			switch {
			case ready == "" && len(run) > 0:
				t.Fatalf("no Ready condition after %+v", run)
			case ready == metav1.ConditionTrue && (c.isTrue(meta.ReconcilingCondition) || c.isTrue(meta.StalledCondition) || c.isTrue(sourcev1.FetchFailedCondition)):
				t.Fatalf("ready and yet %v", lines(status))
			case c.isTrue(meta.ReconcilingCondition) && c.isTrue(meta.StalledCondition):
				t.Fatalf("reconciling and stalled: %v", lines(status))
			case ready == metav1.ConditionFalse && !c.isTrue(meta.ReconcilingCondition) && !c.isTrue(meta.StalledCondition):
				t.Fatalf("not ready, and neither tried again nor stalled: %v", lines(status))
			case c.isTrue(meta.StalledCondition) && status.ObservedGeneration != about.Generation:
				t.Fatalf("stalled for generation %d, observed %d", about.Generation, status.ObservedGeneration)
			}
			later := make([]event.Event, len(run))
			for j, e := range run {
				later[j] = e
				if e.Stored == nil { // storing again is a new time of storage
					later[j].At = e.At.Add(time.Hour)
				}
			}
			again, notices := FoldOCI(status, about, later)
			if diff := cmp.Diff(status, again); diff != "" {
				t.Fatalf("the same run again changes:\n%s", diff)
			}
			for _, n := range notices {
				if n.Severity == event.Info || n.Reason != ReasonTagDisappeared {
					t.Fatalf("the same run again tells %s %s", n.Severity, n.Reason)
				}
			}
		}
	})
}

func TestNext(t *testing.T) {
	now := time.Unix(1000, 0)
	s := Schedule{Interval: 10 * time.Minute, Asked: now.Add(-time.Minute), Jitter: -1, Spread: 0.05, Backoff: 3 * time.Second}
	for _, c := range []struct {
		name    string
		outcome event.Event
		want    time.Time
		again   bool
	}{
		{"from the moment of asking, spread", event.Event{At: now, Unchanged: &event.Unchanged{}}, now.Add(-time.Minute + 10*time.Minute - 30*time.Second), true},
		{"back-off", event.Event{At: now, Failed: &event.Failed{}}, now.Add(3 * time.Second), true},
		{"the registry's wish", event.Event{At: now, Failed: &event.Failed{RetryAt: now.Add(time.Hour)}}, now.Add(time.Hour), true},
		{"never by itself", event.Event{At: now, Failed: &event.Failed{Stalled: true}}, time.Time{}, false},
	} {
		if got, again := Next(c.outcome, s); !got.Equal(c.want) || again != c.again {
			t.Errorf("%s: %v, %v; want %v, %v", c.name, got, again, c.want, c.again)
		}
	}
}
