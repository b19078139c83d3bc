package graph

import "slices"

// Order lists the names so that each comes after all that it needs; where that
// leaves a choice, the smaller name comes first. stuck are the names that have
// no place, because they are in a cycle or need one that is; in order.
func (g Graph[K]) Order() (order, stuck []K) {
	open := map[K]int{} // how many needs have no place yet
	var free []K
	for _, name := range g.Names() {
		if open[name] = len(g.needs[name]); open[name] == 0 {
			free = append(free, name)
		}
	}
	for len(free) > 0 {
		name := free[0]
		free = free[1:]
		order = append(order, name)
		delete(open, name)
		for _, d := range g.dependents[name] {
			if open[d]--; open[d] == 0 {
				at, _ := slices.BinarySearchFunc(free, d, g.compare)
				free = slices.Insert(free, at, d)
			}
		}
	}
	for name := range open {
		stuck = append(stuck, name)
	}
	return order, g.sorted(stuck)
}
