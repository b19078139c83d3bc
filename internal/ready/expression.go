package ready

import (
	"fmt"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/internal/health"
)

// InvalidExpression is a readyExpr that does not compile or whose value is not
// true or false: reason InvalidCELExpression, not tried again.
type InvalidExpression struct {
	On  types.NamespacedName
	Err error
}

// Error is Flux's text.
func (e *InvalidExpression) Error() string {
	return fmt.Sprintf("failed to evaluate dependency %s: %v", e.On.Name, e.Err)
}

// Unwrap gives what is wrong with the expression.
func (e *InvalidExpression) Unwrap() error { return e.Err }

// CompileExprs tells whether all expressions of spec.dependsOn are valid, before
// anything is known of the dependencies. The error is an InvalidExpression.
func CompileExprs(self *kustomizev1.Kustomization) error {
	_, err := compile(self)
	return err
}

// The variables of an expression: the Kustomization that waits, and the one
// that it waits for.
const (
	selfName = "self"
	peerName = "dep"
)

type expression struct{ compiled *health.Expression }

// compile gives an entry for each dependency; nil where there is no expression.
func compile(self *kustomizev1.Kustomization) ([]*expression, error) {
	exprs := make([]*expression, len(self.Spec.DependsOn))
	for i, ref := range self.Spec.DependsOn {
		if ref.ReadyExpr == "" {
			continue
		}
		compiled, err := health.CompileExpression(ref.ReadyExpr, selfName, peerName)
		if err != nil {
			return nil, &InvalidExpression{On: nameOf(self, ref), Err: err}
		}
		exprs[i] = &expression{compiled: compiled}
	}
	return exprs, nil
}

func (e *expression) holds(self, peer *kustomizev1.Kustomization) (bool, error) {
	values := map[string]any{}
	for name, k := range map[string]*kustomizev1.Kustomization{selfName: self, peerName: peer} {
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(k)
		if err != nil {
			return false, fmt.Errorf("reading the fields of %s: %w", name, err)
		}
		values[name] = fields
	}
	return e.compiled.Holds(values)
}
