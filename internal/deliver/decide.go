package deliver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/inventory"
	"github.com/sluice-dev/sluice/internal/object"
	"github.com/sluice-dev/sluice/internal/plan"
)

// decide computes the plan and keeps the guards. Nothing is written by it.
func (r *rollout) decide(ctx context.Context) turn {
	if err := r.compute(ctx); err != nil {
		t := transient(event.StepPlan, err)
		t.passing = !errors.Is(err, errInventory)
		return t
	}
	if r.plan.Held != "" {
		return failing(event.StepEmpty, r.plan.Held)
	}
	if refused := r.plan.Refused(); len(refused) > 0 {
		return r.refused(event.StepPlan, refused)
	}
	return onward
}

var errInventory = errors.New("nothing is changed until it is repaired")

// compute observes what is live and computes the plan.
func (r *rollout) compute(ctx context.Context) error {
	var err error
	if r.own, err = inventory.Read(r.object.Status.Inventory); err != nil {
		return fmt.Errorf("reading status.inventory: %w; %w", err, errInventory)
	}
	if r.in, err = r.input(ctx); err != nil {
		return err
	}
	r.plan, r.aged = plan.Compute(r.in), false
	return nil
}

// input gathers what the plan is computed from.
func (r *rollout) input(ctx context.Context) (plan.Input, error) {
	in := plan.Input{
		Owner: r.owner(), Revision: r.source.Artifact.Revision, Want: r.built.Objects, Empty: r.built.Empty,
		Own: r.own, Rules: r.applyRules(),
	}
	var wanted []inventory.Entry
	for id := range r.objects() {
		wanted = append(wanted, inventory.Entry{ID: id})
	}
	stale := r.own.Minus(inventory.Of(wanted...))
	var err error
	in.Live, err = r.target.Observe(ctx, Ask{
		Owner: in.Owner, Want: in.Want, Stale: checksOf(stale), Rules: in.Rules, Since: r.verify,
	})
	if err != nil {
		return in, err
	}
	in.Done = r.doneJobs()
	if stale.Len() > 0 && in.Rules.Prune {
		in.Claimed, err = r.Claims.Claimed(ctx, r.object, stale.IDs())
	}
	return in, err
}

func checksOf(inv inventory.Inventory) []Check {
	var list []Check
	for _, e := range inv.Entries() {
		list = append(list, Check{ID: e.ID, Version: e.Version})
	}
	return list
}

func (r *rollout) applyRules() plan.Rules {
	p := r.Policy.Apply
	return plan.Rules{
		Force: r.object.Spec.Force, Prune: r.object.Spec.Prune, Ignore: r.object.Spec.Ignore,
		StageKinds: p.StageKinds, OverrideManagers: p.OverrideManagers, MigrateAPIVersion: p.MigrateAPIVersion,
		AllowEmpty: r.wish.allowed != "" && r.wish.allowed == r.source.Artifact.Revision,
	}
}

// refused says what the API server would not have, and that nothing changed.
func (r *rollout) refused(step event.Step, steps []plan.Step) turn {
	var lines []string
	t := turn{passing: true}
	for _, s := range steps {
		unserved := (*plan.UnservedError)(nil)
		t.unserved = t.unserved || errors.As(s.Err, &unserved)
		t.passing = t.passing && s.Err != nil && isTransient(s.Err)
		lines = append(lines, s.Why)
	}
	t.soon = t.unserved
	t.failed = failing(step, joinLines(lines)).failed
	return t
}

const maxLines = 10

func joinLines(lines []string) string {
	if len(lines) > maxLines {
		lines = append(lines[:maxLines:maxLines], fmt.Sprintf("and %d more", len(lines)-maxLines))
	}
	return strings.Join(lines, "\n")
}

func sortedIDs[T any](byID map[object.ID]T) []object.ID {
	return slices.SortedFunc(maps.Keys(byID), object.ID.Compare)
}

func subset(all map[object.ID]*unstructured.Unstructured, ids []object.ID) []*unstructured.Unstructured {
	var list []*unstructured.Unstructured
	for _, id := range ids {
		list = append(list, all[id])
	}
	return list
}
