package plan

import (
	"fmt"
	"iter"
	"strings"

	"github.com/sluice-dev/sluice/internal/inventory"
)

// All goes through the steps in their order: the stages, then what is pruned.
func (p Plan) All() iter.Seq[Step] {
	return func(yield func(Step) bool) {
		for _, stage := range p.Stages {
			for _, step := range stage.Steps {
				if !yield(step) {
					return
				}
			}
		}
		for _, step := range p.Prune {
			if !yield(step) {
				return
			}
		}
	}
}

// Writes is the number of steps that change the cluster, if the plan is not held.
func (p Plan) Writes() int {
	n := 0
	for step := range p.All() {
		if step.Action.Writes() {
			n++
		}
	}
	return n
}

// Refused are the wanted objects that cannot be had; as long as there is one,
// nothing of the plan is done. An owned object that could not be looked at is
// not among them: it is Refuse in Prune, stays in the inventory, and is tried
// again.
func (p Plan) Refused() []Step {
	var refused []Step
	for _, stage := range p.Stages {
		for _, step := range stage.Steps {
			if step.Action == Refuse {
				refused = append(refused, step)
			}
		}
	}
	return refused
}

// Inventory is what the Kustomization owns when the plan is done: all that is
// wanted, what is left alone by a mark included, as in Flux's change set.
func (p Plan) Inventory() inventory.Inventory {
	var entries []inventory.Entry
	for _, stage := range p.Stages {
		for _, step := range stage.Steps {
			entries = append(entries, inventory.Entry{ID: step.ID, Version: step.Version})
		}
	}
	return inventory.Of(entries...)
}

// Summary counts: "3 to create, 1 to update, 14 unchanged".
func (p Plan) Summary() string {
	counts := map[Action]int{}
	for step := range p.All() {
		counts[step.Action]++
	}
	var parts []string
	for _, row := range []struct {
		action Action
		words  string
	}{
		{Create, "to create"}, {Update, "to update"}, {Replace, "to replace"}, {Delete, "to delete"},
		{Defer, "to decide later"}, {Refuse, "refused"}, {Skip, "left alone"}, {Keep, "unchanged"},
	} {
		if n := counts[row.action]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, row.words))
		}
	}
	if len(parts) == 0 {
		return "no objects"
	}
	return strings.Join(parts, ", ")
}
