package health

import (
	"fmt"

	"github.com/fluxcd/pkg/apis/kustomize"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Rules are compiled health expressions, by kind. Nil has none.
type Rules struct{ byKind map[schema.GroupKind]rule }

// rule is the expressions for one kind, in the order they are asked.
type rule []question

type question struct {
	field  string // of the spec: inProgress, failed, current
	answer Status
	expr   *Expression
}

// Compile reads spec.healthCheckExprs. An empty kind stands for every kind of
// the group that has no entry of its own. Errors are terminal (reason
// InvalidCELExpression) and have the text of Flux
// (fluxcd/pkg/runtime/cel/status_reader.go, status_evaluator.go).
func Compile(checks []kustomize.CustomHealthCheck) (*Rules, error) {
	rules := &Rules{byKind: make(map[schema.GroupKind]rule, len(checks))}
	for i, check := range checks {
		gk := schema.FromAPIVersionAndKind(check.APIVersion, check.Kind).GroupKind()
		if _, twice := rules.byKind[gk]; twice {
			return nil, fmt.Errorf("duplicate custom health check for GroupKind %s at healthchecks[%d]", gk, i)
		}
		compiled, err := compileRule(check.HealthCheckExpressions)
		if err != nil {
			return nil, fmt.Errorf("failed to create custom status evaluator for healthchecks[%d]: %w", i, err)
		}
		rules.byKind[gk] = compiled
	}
	return rules, nil
}

func compileRule(exprs kustomize.HealthCheckExpressions) (rule, error) {
	if exprs.Current == "" {
		return nil, fmt.Errorf("expression Current not specified")
	}
	// Flux reads Current first: its error is the one that is reported.
	texts := []struct {
		name, field, text string
		answer            Status
	}{
		{"Current", "current", exprs.Current, Current},
		{"Failed", "failed", exprs.Failed, Failed},
		{"InProgress", "inProgress", exprs.InProgress, InProgress},
	}
	var compiled rule
	for _, t := range texts {
		if t.text == "" {
			continue
		}
		expr, err := ParseExpression(t.text)
		if err != nil {
			return nil, fmt.Errorf("failed to parse the expression %s: %w", t.name, err)
		}
		compiled = append(rule{{field: t.field, answer: t.answer, expr: expr}}, compiled...)
	}
	return compiled, nil
}

// Covers tells whether a kind is judged by expressions.
func (r *Rules) Covers(gk schema.GroupKind) bool {
	_, found := r.find(gk)
	return found
}

func (r *Rules) find(gk schema.GroupKind) (rule, bool) {
	if r == nil {
		return nil, false
	}
	if own, found := r.byKind[gk]; found {
		return own, true
	}
	group, found := r.byKind[schema.GroupKind{Group: gk.Group}]
	return group, found
}

// judge asks the expressions in turn. All top-level fields of the object are
// variables.
func (r rule) judge(u *unstructured.Unstructured) Verdict {
	if verdict, deleted := terminating(u); deleted {
		return verdict
	}
	if observed, generation, stale := unobserved(u); stale {
		return Verdict{Status: InProgress, Message: fmt.Sprintf("%s generation is %d, but latest observed generation is %d", u.GetKind(), generation, observed)}
	}
	for _, q := range r {
		holds, err := q.expr.Holds(u.Object)
		if err != nil {
			return unknown(masked(u, q.expr, err))
		}
		if holds {
			return Verdict{Status: q.answer, Message: q.says("holds") + saysReady(u)}
		}
	}
	current := r[len(r)-1]
	return Verdict{Status: InProgress, Message: current.says("does not hold yet") + saysReady(u)}
}

func (q question) says(what string) string {
	return fmt.Sprintf("the expression %s '%s' %s", q.field, oneLine(q.expr.String()), what)
}

// unobserved is true while the controller of the object has not seen its latest
// generation. Fields that are no integers are left to the expressions.
func unobserved(u *unstructured.Unstructured) (observed, generation int64, stale bool) {
	observed, found, err := unstructured.NestedInt64(u.Object, "status", "observedGeneration")
	if err != nil || !found {
		return 0, 0, false
	}
	generation, found, err = unstructured.NestedInt64(u.Object, "metadata", "generation")
	return observed, generation, found && err == nil && observed != generation
}
