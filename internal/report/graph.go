package report

import (
	"cmp"
	"slices"
	"strings"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/internal/graph"
)

// Graph says how Kustomizations depend on each other, and how each is.
type Graph struct {
	// Nodes come after all that they need; those of cycles are last.
	Nodes []Node `json:"nodes"`
	// Cycles are paths of "namespace/name": each needs the next, the last needs
	// the first.
	Cycles [][]string `json:"cycles"`
}

// Node is a Kustomization of a graph.
type Node struct {
	Row
	Needs []string `json:"needs,omitempty"` // "namespace/name"
	// WaitsFor says which of them it waits for now, and why.
	WaitsFor []Wait `json:"waitsFor,omitempty"`
	// Blocks are those that cannot go on before this is Ready, near and far;
	// empty if it is Ready.
	Blocks []string `json:"blocks,omitempty"`
}

// Rows are the nodes as lists show them.
func (g Graph) Rows() []Row {
	var rows []Row
	for _, n := range g.Nodes {
		rows = append(rows, n.Row)
	}
	return rows
}

// GraphOf makes the graph of all Kustomizations of a snapshot; only, if it is
// not empty, is the namespace it is reduced to: what is there, and all that
// this needs elsewhere.
func GraphOf(s Snapshot, only string) Graph {
	all := needsOf(s)
	keep := selected(all, only)
	g := graph.Of(compareKeys, keep)
	_, rows := Rows(s)
	known := map[string]Row{}
	for _, r := range rows {
		known[r.Key()] = r
	}
	order, stuck := g.Order()
	out := Graph{Nodes: []Node{}, Cycles: cycles(g, stuck)}
	for _, name := range append(order, behindCycles(g, stuck)...) {
		out.Nodes = append(out.Nodes, nodeOf(s, g, known, name))
	}
	return out
}

func needsOf(s Snapshot) map[string][]string {
	needs := map[string][]string{}
	for _, ks := range s.Kustomizations {
		key := ks.Namespace + "/" + ks.Name
		needs[key] = nil
		for _, name := range dependencies(ks) {
			needs[key] = append(needs[key], name.String())
		}
	}
	return needs
}

func dependencies(ks *kustomizev1.Kustomization) []types.NamespacedName {
	var names []types.NamespacedName
	for _, d := range ks.Spec.DependsOn {
		names = append(names, types.NamespacedName{Namespace: cmp.Or(d.Namespace, ks.Namespace), Name: d.Name})
	}
	return names
}

func selected(all map[string][]string, only string) map[string][]string {
	if only == "" {
		return all
	}
	whole, keep := graph.Of(compareKeys, all), map[string][]string{}
	for name := range all {
		if strings.HasPrefix(name, only+"/") {
			keep[name] = all[name]
			for _, b := range whole.Blockers(name) {
				keep[b] = all[b]
			}
		}
	}
	return keep
}

func compareKeys(a, b string) int {
	an, ak, _ := strings.Cut(a, "/")
	bn, bk, _ := strings.Cut(b, "/")
	return cmp.Or(cmp.Compare(an, bn), cmp.Compare(ak, bk))
}

func cycles(g graph.Graph[string], stuck []string) [][]string {
	found := [][]string{}
	for _, name := range stuck {
		cycle := g.Cycle(name)
		if cycle != nil && !slices.ContainsFunc(found, func(c []string) bool { return slices.Equal(c, cycle) }) {
			found = append(found, cycle)
		}
	}
	return found
}

// behindCycles puts the members of cycles first, and what only needs them
// behind, each after what it needs.
func behindCycles(g graph.Graph[string], stuck []string) []string {
	var members, others []string
	rest := map[string][]string{}
	for _, name := range stuck {
		if g.Cycle(name) != nil {
			members = append(members, name)
			continue
		}
		rest[name] = slices.DeleteFunc(g.Needs(name), func(n string) bool { return g.Cycle(n) != nil || !slices.Contains(stuck, n) })
	}
	others, _ = graph.Of(compareKeys, rest).Order()
	return append(members, others...)
}

func nodeOf(s Snapshot, g graph.Graph[string], known map[string]Row, name string) Node {
	n := Node{Needs: g.Needs(name)}
	r, found := known[name]
	if !found {
		n.Kind, n.State = kustomizev1.KustomizationKind, Missing
		n.Namespace, n.Name, _ = strings.Cut(name, "/")
		n.Note = "not found"
		if s.Namespace != "" && n.Namespace != s.Namespace {
			n.State, n.Note = "", "in a namespace that was not read"
		}
	} else {
		n.Row = r
		n.WaitsFor, _ = waitsFor(s, r)
	}
	if cycle := g.Cycle(name); cycle != nil && n.State != Ready {
		n.Note = "in a cycle: " + path(cycle)
	}
	if n.State != Ready && n.State != "" {
		n.Blocks = blocked(g, known, name)
	}
	return n
}

// blocked are all that come after a name, without those that are Ready.
func blocked(g graph.Graph[string], known map[string]Row, name string) []string {
	seen := map[string]bool{name: true}
	var list []string
	for todo := g.Dependents(name); len(todo) > 0; todo = todo[1:] {
		if next := todo[0]; !seen[next] {
			seen[next] = true
			todo = append(todo, g.Dependents(next)...)
			if known[next].State != Ready {
				list = append(list, next)
			}
		}
	}
	slices.SortFunc(list, compareKeys)
	return list
}

func path(names []string) string { return strings.Join(append(slices.Clone(names), names[0]), " → ") }
