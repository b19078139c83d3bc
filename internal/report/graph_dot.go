package report

import (
	"fmt"
	"slices"
	"strings"
)

// fill colours of states in Graphviz's names.
var fill = map[State]string{
	Ready: "palegreen", Progressing: "lightblue", Waiting: "khaki", Failed: "salmon", Stalled: "salmon",
	Suspended: "plum", Deleting: "lightblue", Missing: "white",
}

// Dot writes a graph for Graphviz: arrows lead from what is needed to what needs
// it, those of cycles are red.
func (g Graph) Dot() string {
	var out strings.Builder
	out.WriteString("digraph kustomizations {\n  rankdir=LR;\n  node [shape=box, style=\"rounded,filled\"];\n")
	for _, n := range g.Nodes {
		label := strings.Join(slices.DeleteFunc([]string{n.Name, n.Move(), string(n.State)}, func(s string) bool { return s == "" }), "\n")
		fmt.Fprintf(&out, "  %s [label=%s, fillcolor=%s];\n", quote(n.Key()), quote(label), quote(fill[n.State]))
	}
	for _, n := range g.Nodes {
		for _, need := range n.Needs {
			color := ""
			if g.cycleEdge(n.Key(), need) {
				color = " [color=red]"
			}
			fmt.Fprintf(&out, "  %s -> %s%s;\n", quote(need), quote(n.Key()), color)
		}
	}
	out.WriteString("}\n")
	return out.String()
}

func (g Graph) cycleEdge(from, to string) bool {
	return slices.ContainsFunc(g.Cycles, func(c []string) bool {
		i := slices.Index(c, from)
		return i >= 0 && c[(i+1)%len(c)] == to
	})
}

// quote makes a string of the DOT language.
func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(text) + `"`
}
