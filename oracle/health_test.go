package oracle

import (
	"fmt"
	"testing"

	"github.com/fluxcd/pkg/apis/kustomize"
	fluxcel "github.com/fluxcd/pkg/runtime/cel"
	"github.com/fluxcd/pkg/runtime/statusreaders"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/internal/health"
)

// healthExprs are as people write them, and with the mistakes they make.
var healthExprs = []string{
	"", "true", "false", "foo", "'text'", "status.ready", "status.observedGeneration == '2'", "metadata.generation == '2'",
	"status.conditions.filter(e, e.type == 'Ready').all(e, e.status == 'True')",
	"status.conditions.filter(e, e.type == 'Ready').all(e, e.status == 'True' && e.observedGeneration == metadata.generation)",
	"status.conditions.exists(e, e.type == 'Ready' && e.status == 'False' && e.reason in ['Broken', 'Gone'])",
	"has(status.observedGeneration) && metadata.generation != status.observedGeneration",
	"has(status.conditions) && status.conditions.exists_one(e, e.type == 'Ready')",
	"status.?phase.orValue('none') == 'Running'", "status.phase.lowerAscii() == 'running'",
	"'%s-%d'.format([status.phase, metadata.generation]) == 'Running-2'", "[status.phase, 'x'].join('/') == 'Running/x'",
	"status.phase.replace('Run', 'Jump') == 'Jumpning'", "sets.contains(['Running', 'Done'], [status.phase])",
	"status.count > 1.5", "data.exists(k, k == 'a')", "timestamp(status.at).getFullYear() == 2026", "status.conditions[0].type == 'Ready'",
	"dyn(status) == dyn({})", "status.count + 1", "int(status.phase) == 1", "size(status.conditions) == 1 ? true : 'no'",
}

var broken = []string{"foo.", "", "1 +", "a b", "has(x)", "[1].map(x)", "'a' == 1", "undefined(1)", "[1, 'a'] == []"}

// anyObject has some of the fields that the expressions look at, in the right
// type or another.
func anyObject(t *rapid.T) map[string]any {
	maybe := func(to map[string]any, field string, values ...any) {
		if i := rapid.IntRange(-1, len(values)-1).Draw(t, field); i >= 0 {
			to[field] = values[i]
		}
	}
	object, metadata, status := map[string]any{}, map[string]any{"name": "a"}, map[string]any{}
	maybe(metadata, "generation", int64(1), int64(2), "2")
	maybe(status, "observedGeneration", int64(1), int64(2), "2")
	maybe(status, "ready", true, false, "true")
	maybe(status, "phase", "Running", "Done", int64(3))
	maybe(status, "count", int64(1), int64(2), 1.75, "2")
	maybe(status, "at", "2026-01-02T03:04:05Z", "then")
	condition := map[string]any{"type": "Ready"}
	maybe(condition, "status", "True", "False", "Unknown")
	maybe(condition, "reason", "Broken", "Fine")
	maybe(condition, "observedGeneration", int64(1), int64(2))
	maybe(status, "conditions", []any{}, []any{condition}, []any{condition, condition}, []any{map[string]any{"type": "Other"}}, "none")
	maybe(object, "data", map[string]any{"a": "1"}, map[string]any{})
	maybe(object, "status", status, map[string]any{})
	object["metadata"] = metadata
	return object
}

func TestHealthExpressions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		expr := rapid.SampledFrom(healthExprs)
		exprs := kustomize.HealthCheckExpressions{
			Current: expr.Draw(t, "current"), Failed: expr.Draw(t, "failed"), InProgress: expr.Draw(t, "inProgress")}
		check := kustomize.CustomHealthCheck{APIVersion: "e.x/v1", Kind: "A", HealthCheckExpressions: exprs}
		rules, err := health.Compile([]kustomize.CustomHealthCheck{check})
		flux, fluxErr := fluxcel.NewStatusEvaluator(&exprs)
		if (err == nil) != (fluxErr == nil) {
			t.Fatalf("ours: %v; Flux: %v", err, fluxErr)
		}
		if err != nil {
			return
		}
		u := &unstructured.Unstructured{Object: anyObject(t)}
		u.SetGroupVersionKind(schema.GroupVersionKind{Group: "e.x", Version: "v1", Kind: "A"})
		got := health.Judge(u, rules)
		want, fluxErr := flux.Evaluate(t.Context(), u)
		switch {
		case fluxErr != nil && (got.Status != health.Unknown || got.Message != fluxErr.Error()):
			t.Errorf("got %+v; Flux cannot tell: %v", got, fluxErr)
		case fluxErr == nil && string(got.Status) != want.Status.String():
			t.Errorf("got %+v; Flux says %s", got, want.Status)
		}
	})
}

// The errors go into a condition: their text is Flux's.
func TestHealthExpressionErrors(t *testing.T) {
	lists := [][]kustomize.CustomHealthCheck{
		{{APIVersion: "e.x/v1", Kind: "A", HealthCheckExpressions: kustomize.HealthCheckExpressions{Current: "true"}},
			{APIVersion: "e.x/v2", Kind: "A", HealthCheckExpressions: kustomize.HealthCheckExpressions{Current: "true"}}},
		{{APIVersion: "e.x/v1", HealthCheckExpressions: kustomize.HealthCheckExpressions{Current: "true"}},
			{APIVersion: "e.x/v2", HealthCheckExpressions: kustomize.HealthCheckExpressions{Current: "true"}}},
	}
	for _, text := range broken {
		for _, exprs := range []kustomize.HealthCheckExpressions{
			{Current: text}, {Current: "true", Failed: text}, {Current: "true", InProgress: text}, {Current: "foo.", Failed: text, InProgress: "bar."},
		} {
			lists = append(lists, []kustomize.CustomHealthCheck{{APIVersion: "e.x/v1", Kind: "A", HealthCheckExpressions: exprs}})
		}
	}
	for _, list := range lists {
		_, want := fluxcel.NewStatusReader(list)
		if _, got := health.Compile(list); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%+v\nours: %v\nFlux: %v", list, got, want)
		}
	}
}

func TestJobHealth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		maybe := func(to map[string]any, field string, values ...any) {
			if i := rapid.IntRange(-1, len(values)-1).Draw(t, field); i >= 0 {
				to[field] = values[i]
			}
		}
		spec, status := map[string]any{}, map[string]any{}
		maybe(spec, "suspend", true, false, "true")
		maybe(spec, "parallelism", int64(2), "2")
		maybe(spec, "completions", int64(3))
		maybe(status, "startTime", "2026-01-02T03:04:05Z", int64(1))
		maybe(status, "active", int64(1))
		maybe(status, "succeeded", int64(2))
		maybe(status, "failed", int64(4))
		condition := func(kind string) map[string]any {
			c := map[string]any{"type": kind}
			maybe(c, "status", "True", "False")
			return c
		}
		maybe(status, "conditions", []any{condition("Complete")}, []any{condition("Failed")},
			[]any{condition("Failed"), condition("Complete")}, []any{condition("Suspended"), condition("Complete")}, "none")
		u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "batch/v1", "kind": "Job", "spec": spec, "status": status}}
		got, want := health.Judge(u, nil), statusreaders.ComputeJobStatus(u)
		if string(got.Status) != want.Status.String() || got.Status != health.Unknown && got.Message != want.Message {
			t.Errorf("got %+v, Flux says %s: %s", got, want.Status, want.Message)
		}
	})
}
