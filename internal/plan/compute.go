package plan

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-dev/sluice/internal/object"
)

// Compute decides everything. It changes no object of the input; steps may share
// them.
func Compute(in Input) Plan {
	p := Plan{Owner: in.Owner, Revision: in.Revision, Stages: []Stage{}}
	ignore, err := compileIgnore(in.Rules.Ignore)
	if err != nil {
		p.Held = err.Error()
	}
	d := decision{in: in, ignore: ignore, defined: map[schema.GroupKind]bool{}}
	var stages [stageCount][]*unstructured.Unstructured
	for _, u := range in.Want {
		at := stageOf(u, in.Rules.StageKinds)
		stages[at] = append(stages[at], u)
		if isCRD(u) {
			d.defined[definedBy(u)] = true
		}
	}
	for at, wanted := range stages {
		if len(wanted) == 0 {
			continue
		}
		slices.SortStableFunc(wanted, func(a, b *unstructured.Unstructured) int {
			return ApplyOrder(object.IDOf(a), object.IDOf(b))
		})
		stage := Stage{Name: stageNames[at], Wait: at == definitions || at == classes}
		for _, u := range wanted {
			stage.Steps = append(stage.Steps, d.step(u))
		}
		p.Stages = append(p.Stages, stage)
	}
	p.postpone(in)
	p.prune(in)
	if p.Held == "" {
		p.Held = heldEmpty(in, p.Prune)
	}
	return p
}

// postpone turns refusals into Defer where what is done before may lift them:
// the stage is looked at again when its turn comes.
func (p *Plan) postpone(in Input) {
	rewritten := map[schema.GroupKind]bool{} // kinds whose CRD is written
	waiting := map[string]bool{}             // namespaces that are still going away
	for _, u := range in.Want {
		if isCRD(u) && p.action(object.IDOf(u)).Writes() {
			rewritten[definedBy(u)] = true
		}
	}
	writes := 0
	for _, stage := range p.Stages {
		before := writes
		for i := range stage.Steps {
			step := &stage.Steps[i]
			if step.Action.Writes() {
				writes++
			}
			if step.Action == Defer && step.ID.GroupKind() == (schema.GroupKind{Kind: "Namespace"}) {
				waiting[step.ID.Name] = true
			}
			live := in.Live[step.ID]
			switch {
			case step.Action != Refuse || live.Failed != nil || live.Unserved || live.Refused == nil:
			case waiting[step.ID.Namespace]:
				step.later("its Namespace is being deleted")
			case before == 0:
			case live.Replaceable && !rewritten[step.ID.GroupKind()]:
				// What is immutable stays so, whatever is applied before.
			default:
				step.later("it is asked again when what comes before is applied")
			}
		}
	}
}

func (s *Step) later(why string) {
	s.Action, s.Why, s.Err = Defer, fmt.Sprintf("%s; now: %v", why, s.Err), nil
}

// action is what is decided for a wanted object.
func (p Plan) action(id object.ID) Action {
	for _, stage := range p.Stages {
		for _, step := range stage.Steps {
			if step.ID == id {
				return step.Action
			}
		}
	}
	return ""
}
