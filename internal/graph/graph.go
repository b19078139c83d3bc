// Package graph orders names that need each other.
//
// In: which name needs which. Out: an order in which all come after what they
// need, cycles as paths, and who depends on whom. Every answer is the same for
// the same input. It never knows what the names stand for.
package graph

import (
	"maps"
	"slices"
)

// Graph says which name needs which. It does not change.
type Graph[K comparable] struct {
	compare    func(a, b K) int
	needs      map[K][]K // sorted, each once; has every name
	dependents map[K][]K // the same, backwards
}

// Of makes a graph. Names that are only needed are part of it. compare orders
// names; it decides wherever the graph does not.
func Of[K comparable](compare func(a, b K) int, needs map[K][]K) Graph[K] {
	g := Graph[K]{compare: compare, needs: map[K][]K{}, dependents: map[K][]K{}}
	for name, list := range needs {
		g.needs[name] = g.sorted(list)
		for _, needed := range g.needs[name] {
			g.dependents[needed] = append(g.dependents[needed], name)
			if _, known := needs[needed]; !known {
				g.needs[needed] = nil
			}
		}
	}
	for name, list := range g.dependents {
		g.dependents[name] = g.sorted(list)
	}
	return g
}

func (g Graph[K]) sorted(list []K) []K {
	list = slices.Clone(list)
	slices.SortFunc(list, g.compare)
	return slices.Compact(list)
}

// Names are all names, in order.
func (g Graph[K]) Names() []K { return g.sorted(slices.Collect(maps.Keys(g.needs))) }

// Needs are the names that a name needs itself, in order.
func (g Graph[K]) Needs(of K) []K { return slices.Clone(g.needs[of]) }

// Dependents are the names that need a name themselves, in order.
func (g Graph[K]) Dependents(of K) []K { return slices.Clone(g.dependents[of]) }

// Blockers are all names that have to come before a name, near and far, in
// order. A member of a cycle blocks itself.
func (g Graph[K]) Blockers(of K) []K {
	seen := map[K]bool{}
	for todo := g.Needs(of); len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		if !seen[name] {
			seen[name] = true
			todo = append(todo, g.needs[name]...)
		}
	}
	return g.sorted(slices.Collect(maps.Keys(seen)))
}
