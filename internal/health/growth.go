package health

import (
	"errors"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
)

// An expression cannot loop, but it can double what it has: [a].map(x, [x, x])
// sixty times over takes no room, and longer than anybody lives to compare.
// Neither is counted as a cost, so both are refused before they are evaluated.
const (
	mostGrowth   = 256
	mostOptional = 10 // optMap and optFlatMap; each repeats all that is before it
)

var errGrows = errors.New("it builds values that grow too fast: use the variables of its macros less often inside of lists and maps")

// repeats refuses a text before it is parsed.
func repeats(text string) error {
	if strings.Count(text, "optMap")+strings.Count(text, "optFlatMap") > mostOptional {
		return errors.New("it has more than 10 optMap and optFlatMap")
	}
	return nil
}

// grows refuses an expression whose values may become more than mostGrowth times
// what the object has. A value passes each place that makes a list or a map once
// at most, and is there multiplied by the macro variables in it.
func grows(parsed *cel.Ast) error {
	parts := ast.MatchDescendants(ast.NavigateAST(parsed.NativeRep()), ast.AllMatcher())
	bound := map[string]bool{}
	for _, part := range parts {
		if part.Kind() == ast.ComprehensionKind {
			c := part.AsComprehension()
			bound[c.IterVar()], bound[c.AccuVar()] = true, true
		}
	}
	growth := 1
	for _, part := range parts {
		if parent, found := part.Parent(); makes(part) && !(found && makes(parent)) {
			growth = min(growth*max(1, uses(part, bound)), mostGrowth+1)
		}
	}
	if growth > mostGrowth {
		return errGrows
	}
	return nil
}

// makes tells whether a part is a list or a map; those directly inside of
// another are counted with it.
func makes(part ast.NavigableExpr) bool {
	return part.Kind() == ast.ListKind || part.Kind() == ast.MapKind
}

// uses counts the variables of macros in a part.
func uses(part ast.NavigableExpr, bound map[string]bool) int {
	n := 0
	for _, inside := range ast.MatchDescendants(part, ast.KindMatcher(ast.IdentKind)) {
		if bound[inside.AsIdent()] {
			n++
		}
	}
	return n
}
