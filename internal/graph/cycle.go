package graph

import "slices"

// Cycle gives a shortest cycle that a name is a member of: each name needs the
// next, and the last needs the first. It starts at its smallest member. It is
// nil for a name that is in no cycle, also if it needs one that is.
func (g Graph[K]) Cycle(of K) []K {
	// before says by which name another was reached first, in breadth.
	before := map[K]K{}
	for todo := []K{of}; len(todo) > 0; todo = todo[1:] {
		for _, next := range g.needs[todo[0]] {
			if _, seen := before[next]; seen {
				continue
			}
			before[next] = todo[0]
			if next == of {
				return g.rotated(path(of, before))
			}
			todo = append(todo, next)
		}
	}
	return nil
}

// path walks back to where it began.
func path[K comparable](of K, before map[K]K) []K {
	cycle := []K{of}
	for at := before[of]; at != of; at = before[at] {
		cycle = append(cycle, at)
	}
	slices.Reverse(cycle[1:])
	return cycle
}

func (g Graph[K]) rotated(cycle []K) []K {
	first := slices.Index(cycle, slices.MinFunc(cycle, g.compare))
	return append(slices.Clone(cycle[first:]), cycle[:first]...)
}
