package report

import (
	"cmp"
	"slices"
	"strings"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/internal/graph"
	"github.com/sluice-dev/sluice/internal/ready"
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

// Wait is a dependency that is waited for.
type Wait struct {
	On  string `json:"on"`
	Why string `json:"why"`
}

// Key is "namespace/name".
func (n Node) Key() string { return n.Namespace + "/" + n.Name }

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
		known[r.Namespace+"/"+r.Name] = r
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
		n.WaitsFor = waitsFor(s, r)
	}
	if cycle := g.Cycle(name); cycle != nil && n.State != Ready {
		n.Note = "in a cycle: " + path(cycle)
	} else if len(n.WaitsFor) > 0 {
		n.Note = waitNote(known, n.WaitsFor)
	}
	if n.State != Ready && n.State != "" {
		n.Blocks = blocked(g, known, name)
	}
	return n
}

// waitsFor asks what the controller asks of dependencies.
func waitsFor(s Snapshot, r Row) []Wait {
	ks, _ := s.Find(r.Kind, types.NamespacedName{Namespace: r.Namespace, Name: r.Name}).(*kustomizev1.Kustomization)
	if ks == nil || r.State == Ready || r.State == Suspended || r.State == Deleting {
		return nil
	}
	peers := map[types.NamespacedName]*kustomizev1.Kustomization{}
	for _, name := range dependencies(ks) {
		if s.Namespace != "" && name.Namespace != s.Namespace {
			return nil // the message of the condition has to do
		}
		peers[name], _ = s.Find(r.Kind, name).(*kustomizev1.Kustomization)
	}
	revision := ""
	if a := artifactOf(s.source(SourceOf(ks))); a != nil {
		revision = a.Revision
	}
	outcome, err := ready.Check(ks, revision, peers, ready.Options{})
	if err != nil {
		return nil
	}
	var waits []Wait
	for _, w := range outcome.Waiting {
		waits = append(waits, Wait{On: w.On.String(), Why: Brief(w.Why)})
	}
	return waits
}

func waitNote(known map[string]Row, waits []Wait) string {
	var names []string
	for _, w := range waits {
		state := Missing
		if r, found := known[w.On]; found {
			state = r.State
		}
		_, name, _ := strings.Cut(w.On, "/")
		if state == Ready {
			names = append(names, name+" (older revision)")
		} else {
			names = append(names, name+" ("+string(state)+")")
		}
	}
	return "waits for " + strings.Join(names, ", ")
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
