package ready

import (
	"errors"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
)

func TestReadyExpr(t *testing.T) {
	broken := says("False", "BuildFailed", "no file")
	const eval = "dependency 'ns/db' is not ready according to readyExpr eval"
	tests := map[string]struct {
		expr     string
		peer     *kustomizev1.Kustomization
		additive bool
		want     string // how the reason begins
	}{
		"holds":                     {"dep.metadata.name == 'db' && self.metadata.name == 'app'", peer("db"), false, ""},
		"holds in place of ready":   {"true", peer("db", broken, unseen), false, ""},
		"holds beside not ready":    {"true", peer("db", broken), true, "dependency 'ns/db' is not ready: BuildFailed: no file"},
		"holds beside ready":        {"true", peer("db"), true, ""},
		"does not hold":             {"dep.metadata.generation == 9", peer("db"), false, eval},
		"does not hold, not ready":  {"false", peer("db", broken, paused), true, eval + ": BuildFailed: no file; it is suspended"},
		"conditions":                {"dep.status.conditions.filter(e, e.type == 'Ready').all(e, e.status == 'True')", peer("db"), false, ""},
		"a field that is not there": {"dep.spec.nothing == 'x'", peer("db"), false, "dependency 'ns/db': failed to evaluate the CEL expression 'dep.spec.nothing == 'x'': no such key: nothing"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			self := waiting(meta.DependencyReference{Name: "db", ReadyExpr: test.expr})
			got, err := Check(self, revision, peers(test.peer), Options{Additive: test.additive})
			if err != nil {
				t.Fatal(err)
			}
			why := strings.Join(whys(got), "|")
			if (why == "") != (test.want == "") || !strings.HasPrefix(why, test.want) {
				t.Errorf("got  %s\nwant %s", why, test.want)
			}
		})
	}
}

func TestInvalidReadyExpr(t *testing.T) {
	for expr, want := range map[string]string{
		"dep.":                  "failed to evaluate dependency db: failed to parse the CEL expression 'dep.': ERROR: <input>:1:5: Syntax error",
		"other.status == 'x'":   "failed to evaluate dependency db: failed to parse the CEL expression 'other.status == 'x'': ERROR: <input>:1:1: undeclared reference to 'other'",
		"dep.status.conditions": "failed to evaluate dependency db: CEL expression output type mismatch: expected bool, got dyn",
		"'true'":                "failed to evaluate dependency db: CEL expression output type mismatch: expected bool, got string",
	} {
		self := waiting(meta.DependencyReference{Name: "cache"}, meta.DependencyReference{Name: "db", ReadyExpr: expr})
		_, checked := Check(self, revision, nil, Options{})
		for _, err := range []error{checked, CompileExprs(self)} {
			var invalid *InvalidExpression
			if !errors.As(err, &invalid) || invalid.On.String() != "ns/db" || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%s: got %v", expr, err)
			}
		}
	}
	if err := CompileExprs(waiting(meta.DependencyReference{Name: "db"})); err != nil {
		t.Error(err)
	}
}
