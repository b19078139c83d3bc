package deliver

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/fluxcd/pkg/apis/kustomize"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/internal/object"
	"github.com/sluice-dev/sluice/internal/plan"
)

// remarks warns about what is worth a look and stops nothing.
func (r *rollout) remarks(ctx context.Context) error {
	for _, p := range r.built.Patches {
		if p.Objects > 0 {
			continue
		}
		text := fmt.Sprintf("spec.patches[%d] matches nothing: no object is changed by it", p.Index)
		if p.Target != nil {
			text = fmt.Sprintf("spec.patches[%d] matches nothing: there is no object with %s", p.Index, selector(p.Target))
		}
		if err := r.warn(ctx, "PatchMatchesNothing", text); err != nil {
			return err
		}
	}
	var lines []string
	for _, u := range r.built.Unknown {
		lines = append(lines, u.Object.String()+" "+u.Path)
	}
	if len(lines) > 0 {
		if err := r.warn(ctx, "UnknownField", "fields that Kubernetes does not know were left out:\n"+joinLines(lines)); err != nil {
			return err
		}
	}
	return r.shared(ctx)
}

// shared warns about objects that two live Kustomizations want, and about other
// managers that undo what is applied again and again.
func (r *rollout) shared(ctx context.Context) error {
	var taken []object.ID
	wanted := r.plan.Inventory()
	for _, id := range sortedIDs(r.in.Live) {
		live := r.in.Live[id].Object
		if live == nil || !wanted.Has(id) {
			continue
		}
		if owner := plan.OwnerOf(live); owner != (plan.Owner{}) && owner != r.owner() {
			taken = append(taken, id)
		}
		if r.fought != nil && r.fought(id) {
			text := fmt.Sprintf("%s is changed by somebody else again and again; it was last written by %s", id, strings.Join(others(live), ", "))
			if err := r.warn(ctx, "DriftRepeated", text); err != nil {
				return err
			}
		}
	}
	return r.contested(ctx, taken)
}

// contested warns of objects with another owner, if that still wants them.
func (r *rollout) contested(ctx context.Context, taken []object.ID) error {
	if len(taken) == 0 {
		return nil
	}
	claimed, err := r.Claims.Claimed(ctx, r.object, taken)
	if err != nil {
		return nil // a remark is not worth a failure
	}
	for _, id := range taken {
		if other := claimed[id]; other != "" {
			text := fmt.Sprintf("%s is wanted by Kustomization %s too: the last to apply wins; remove it from one of them", id, other)
			if err := r.warn(ctx, "SharedObject", text); err != nil {
				return err
			}
		}
	}
	return nil
}

// selector prints what a patch looks for.
func selector(s *kustomize.Selector) string {
	var parts []string
	for _, p := range [][2]string{
		{"group", s.Group}, {"version", s.Version}, {"kind", s.Kind}, {"namespace", s.Namespace}, {"name", s.Name},
		{"labelSelector", s.LabelSelector}, {"annotationSelector", s.AnnotationSelector},
	} {
		if p[1] != "" {
			parts = append(parts, p[0]+" "+p[1])
		}
	}
	return strings.Join(parts, ", ")
}

// others are the field managers of an object besides ours.
func others(live *unstructured.Unstructured) []string {
	var names []string
	for _, entry := range live.GetManagedFields() {
		if entry.Manager != plan.Manager && entry.Subresource == "" {
			names = append(names, entry.Manager)
		}
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) == 0 {
		return []string{"an unknown manager"}
	}
	return names
}
