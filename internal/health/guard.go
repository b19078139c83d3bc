package health

import (
	"fmt"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/decls"
	"github.com/google/cel-go/common/functions"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// guarded are functions of which one call can make or read the product of its
// arguments. Costs are counted after a call: that would be too late.
var guarded = []string{"replace", "join", "format", "sets.contains", "sets.equivalent", "sets.intersects"}

// guard gives the guarded functions once more, each with a look at its
// arguments before the call.
func guard(env *cel.Env) ([]cel.EnvOption, error) {
	known := env.Functions()
	var again []cel.EnvOption
	for _, name := range guarded {
		declared, found := known[name]
		if !found {
			return nil, fmt.Errorf("guarding the function %s: it does not exist", name)
		}
		bindings, err := declared.Bindings()
		if err != nil {
			return nil, fmt.Errorf("guarding the function %s: %w", name, err)
		}
		calls := map[string]*functions.Overload{}
		for _, b := range bindings {
			calls[b.Operator] = b
		}
		var overloads []cel.FunctionOpt
		for _, o := range declared.OverloadDecls() {
			overloads = append(overloads, guardOverload(name, o, calls[o.ID()]))
		}
		again = append(again, cel.Function(name, overloads...))
	}
	return again, nil
}

func guardOverload(name string, o *decls.OverloadDecl, call *functions.Overload) cel.FunctionOpt {
	refuse := func(args ...ref.Val) ref.Val {
		if work(args) > mostWork {
			return types.NewErr("%s: the arguments are too large", name)
		}
		return nil
	}
	var binding cel.OverloadOpt
	switch len(o.ArgTypes()) {
	case 1:
		binding = cel.UnaryBinding(func(a ref.Val) ref.Val {
			if refused := refuse(a); refused != nil {
				return refused
			}
			return call.Unary(a)
		})
	case 2:
		binding = cel.BinaryBinding(func(a, b ref.Val) ref.Val {
			if refused := refuse(a, b); refused != nil {
				return refused
			}
			return binary(call, a, b)
		})
	default:
		binding = cel.FunctionBinding(func(args ...ref.Val) ref.Val {
			if refused := refuse(args...); refused != nil {
				return refused
			}
			return call.Function(args...)
		})
	}
	if o.IsMemberFunction() {
		return cel.MemberOverload(o.ID(), o.ArgTypes(), o.ResultType(), binding)
	}
	return cel.Overload(o.ID(), o.ArgTypes(), o.ResultType(), binding)
}

// binary calls a function of two arguments, which may be bound as one of many.
func binary(call *functions.Overload, a, b ref.Val) ref.Val {
	if call.Binary != nil {
		return call.Binary(a, b)
	}
	return call.Function(a, b)
}
