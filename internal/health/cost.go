package health

import (
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

const (
	// mostCost bounds the evaluation of one expression to parts of a second: a
	// step costs one, and so do ten characters. The library's counting takes quadratic
	// time in a long loop, so that the limit of Kubernetes (1,000,000 for one
	// call) would be minutes. Asking a few things of each of 10,000 elements fits. Nobody's expression may hold up the others.
	mostCost = 100_000
	// mostWork bounds what one call may read or make.
	mostWork = 2_000_000
	// appending is what a macro pays for each element that it collects, in
	// characters: about what the library takes for it.
	appending = 50
)

// costs counts what a call has read and made. The library counts by overload,
// which is not known in expressions that are only parsed: there, a string that
// doubles with every step would cost nothing.
type costs struct{}

func (costs) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	cost := uint64(1 + (input(function, args)+output(function, args, result))/10)
	return &cost
}

// input is what a call has looked at.
func input(function string, args []ref.Val) int {
	if readsAll[function] {
		return work(args)
	}
	total := 0
	for _, a := range args {
		if _, list := a.(traits.Lister); !list {
			total += size(a)
		}
	}
	return total
}

// output is the size of a result. Adding to a list costs what is added: macros
// collect their results so, one by one.
func output(function string, args []ref.Val, result ref.Val) int {
	if _, list := result.(traits.Lister); list && function == operators.Add {
		return appending + size(args[len(args)-1])
	}
	return size(result)
}

// readsAll are functions that look at everything inside of their arguments, the
// guarded ones at parts of one for each part of another.
var readsAll = map[string]bool{
	operators.Equals: true, operators.NotEquals: true, operators.In: true, "matches": true,
	"replace": true, "join": true, "format": true,
	"sets.contains": true, "sets.equivalent": true, "sets.intersects": true,
}

// work is how much there is to do if every part of the first argument meets
// every part of the largest other.
func work(args []ref.Val) int {
	if len(args) == 0 {
		return 0
	}
	others := 1
	for _, a := range args[1:] {
		others = max(others, deep(a, mostWork))
	}
	return max(1, deep(args[0], mostWork)) * others
}

// size is the number of characters or elements of a value.
func size(value ref.Val) int {
	if sizer, ok := value.(traits.Sizer); ok {
		if n, ok := sizer.Size().(types.Int); ok {
			return int(n)
		}
	}
	return 1
}

// deep is the size of a value with all that is inside of it. It stops counting
// at most.
func deep(value ref.Val, most int) int {
	var parts traits.Iterator
	var entries traits.Mapper
	switch v := value.(type) {
	case traits.Mapper:
		parts, entries = v.Iterator(), v
	case traits.Lister:
		parts = v.Iterator()
	default:
		return size(value)
	}
	total := 1
	for total < most && parts.HasNext() == types.True {
		part := parts.Next()
		total += deep(part, most-total)
		if entries != nil {
			total += deep(entries.Get(part), most-total)
		}
	}
	return total
}
