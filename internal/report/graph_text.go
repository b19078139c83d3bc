package report

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Lines draws a graph as a tree: each node once, below the one of its needs that
// comes last. Other needs are named beside it; the path of a cycle says enough of
// its members.
func (g Graph) Lines(s Style, now time.Time) []string {
	children, also := g.placed()
	names := g.names()
	t := Table{Header: []string{"KUSTOMIZATION", "STATE", "VERSION", "SINCE", "NOTE"}}
	var draw func(keys []string, indent string, root bool)
	draw = func(keys []string, indent string, root bool) {
		for i, key := range keys {
			n := g.node(key)
			branch, below := "├─ ", "│  "
			if i == len(keys)-1 {
				branch, below = "└─ ", "   "
			}
			if root {
				branch, below = "", ""
			}
			t.Rows = append(t.Rows, []Cell{
				{Text: indent + branch + names[key]}, {Text: s.word(n.State), State: n.State}, {Text: n.Move()}, {Text: since(now, n.Since)},
				{Text: note(n, also[key], names)},
			})
			draw(children[key], indent+below, false)
		}
	}
	draw(children[""], "", true)
	return append(t.Lines(s), g.Summary(s)...)
}

func note(n Node, also []string, names map[string]string) string {
	text := n.Note
	if len(also) > 0 {
		var list []string
		for _, key := range also {
			list = append(list, names[key])
		}
		text = strings.TrimSpace(text + " [also needs " + strings.Join(list, ", ") + "]")
	}
	return text
}

func (g Graph) node(key string) Node {
	i := slices.IndexFunc(g.Nodes, func(n Node) bool { return n.Key() == key })
	return g.Nodes[i]
}

// names leaves the namespace out where there is only one.
func (g Graph) names() map[string]string {
	names := map[string]string{}
	namespaces := map[string]bool{}
	for _, n := range g.Nodes {
		namespaces[n.Namespace] = true
	}
	for _, n := range g.Nodes {
		names[n.Key()] = n.Key()
		if len(namespaces) == 1 {
			names[n.Key()] = n.Name
		}
	}
	return names
}

// placed gives each node its place: below the need that comes last of those
// that have one already.
func (g Graph) placed() (children, also map[string][]string) {
	children, also = map[string][]string{}, map[string][]string{}
	var done []string
	for _, n := range g.Nodes {
		parent, circular := "", g.inCycle(n.Key())
		for _, key := range done {
			if slices.Contains(n.Needs, key) && !(circular && g.inCycle(key)) {
				parent = key
			}
		}
		for _, need := range n.Needs {
			if need != parent && !(circular && g.inCycle(need)) {
				also[n.Key()] = append(also[n.Key()], need)
			}
		}
		children[parent] = append(children[parent], n.Key())
		done = append(done, n.Key())
	}
	return children, also
}

// states in the order of a summary.
var summaryOrder = []State{Progressing, Waiting, Failed, Stalled, Suspended, Deleting, Missing}

// Summary counts, and names what holds others up.
func (g Graph) Summary(s Style) []string {
	if len(g.Nodes) == 0 {
		return nil
	}
	count := map[State]int{}
	names := g.names()
	for _, n := range g.Nodes {
		count[n.State]++
	}
	text := fmt.Sprintf("%d of %d ready", count[Ready], len(g.Nodes))
	for _, state := range summaryOrder {
		if count[state] > 0 {
			text += fmt.Sprintf(" · %d %s", count[state], state)
		}
	}
	lines := []string{"", text}
	for _, n := range g.Nodes {
		if len(n.Blocks) == 0 || len(n.WaitsFor) > 0 || g.inCycle(n.Key()) {
			continue // not the root of anything
		}
		var list []string
		for _, key := range n.Blocks {
			list = append(list, names[key])
		}
		lines = append(lines, fmt.Sprintf("%s (%s) holds up %s", names[n.Key()], n.State, few(list)))
	}
	for _, cycle := range g.Cycles {
		var list []string
		for _, key := range cycle {
			list = append(list, names[key])
		}
		lines = append(lines, "cycle: "+path(list)+"; remove one of these spec.dependsOn")
	}
	for i := range lines {
		lines[i] = s.plain(lines[i])
	}
	return lines
}

func (g Graph) inCycle(key string) bool {
	return slices.ContainsFunc(g.Cycles, func(c []string) bool { return slices.Contains(c, key) })
}

// few names the first of a list.
func few(list []string) string {
	const most = 6
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}
