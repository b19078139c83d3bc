package health

import (
	"fmt"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"
)

// Expression is a CEL expression whose value is true or false.
type Expression struct {
	text    string
	program cel.Program
}

// ParseExpression reads an expression over variables that are not declared:
// objects have other top-level fields than the usual five. What is wrong with
// their types is found by evaluating (fluxcd/pkg/runtime/cel/expression.go).
func ParseExpression(text string) (*Expression, error) {
	env, err := newEnv()
	if err != nil {
		return nil, err
	}
	if err := repeats(text); err != nil {
		return nil, invalid(text, err)
	}
	ast, issues := env.Parse(text)
	if issues.Err() != nil {
		return nil, invalid(text, issues)
	}
	return program(env, ast, text)
}

// CompileExpression reads and checks an expression over the named objects; its
// value has to be known to be true or false.
func CompileExpression(text string, variables ...string) (*Expression, error) {
	var declared []cel.EnvOption
	for _, name := range variables {
		declared = append(declared, cel.Variable(name, cel.ObjectType("google.protobuf.Struct")))
	}
	env, err := newEnv(declared...)
	if err != nil {
		return nil, err
	}
	if err := repeats(text); err != nil {
		return nil, invalid(text, err)
	}
	ast, issues := env.Compile(text)
	if issues.Err() != nil {
		return nil, invalid(text, issues)
	}
	if is := ast.OutputType(); is != cel.BoolType {
		return nil, fmt.Errorf("CEL expression output type mismatch: expected %s, got %s", cel.BoolType, is)
	}
	return program(env, ast, text)
}

// newEnv has what Flux's has: an expression means the same in both.
func newEnv(declared ...cel.EnvOption) (*cel.Env, error) {
	env, err := cel.NewEnv(append([]cel.EnvOption{
		cel.HomogeneousAggregateLiterals(),
		cel.EagerlyValidateDeclarations(true),
		cel.DefaultUTCTimeZone(true),
		cel.CrossTypeNumericComparisons(true),
		cel.OptionalTypes(),
		ext.Strings(),
		ext.Sets(),
		ext.Encoders(),
	}, declared...)...)
	if err != nil {
		return nil, fmt.Errorf("failed to create CEL environment: %w", err)
	}
	guards, err := guard(env)
	if err != nil {
		return nil, err
	}
	return env.Extend(guards...)
}

func invalid(text string, why any) error {
	return fmt.Errorf("failed to parse the CEL expression '%s': %s", text, why)
}

func program(env *cel.Env, ast *cel.Ast, text string) (*Expression, error) {
	if err := grows(ast); err != nil {
		return nil, invalid(text, err)
	}
	compiled, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostTracking(costs{}), cel.CostLimit(mostCost))
	if err != nil {
		return nil, fmt.Errorf("failed to create CEL program: %w", err)
	}
	return &Expression{text: text, program: compiled}, nil
}

// Holds evaluates the expression; values are its variables.
func (e *Expression) Holds(values map[string]any) (bool, error) {
	value, _, err := e.program.Eval(values)
	if err != nil {
		return false, fmt.Errorf("failed to evaluate the CEL expression '%s': %w", e.text, err)
	}
	holds, ok := value.(types.Bool)
	if !ok {
		return false, fmt.Errorf("failed to evaluate CEL expression as boolean: '%s'", e.text)
	}
	return bool(holds), nil
}

// String is the text of the expression.
func (e *Expression) String() string { return e.text }
