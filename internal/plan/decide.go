package plan

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"

	"github.com/sluice-dev/sluice/internal/diff"
	"github.com/sluice-dev/sluice/internal/object"
)

// decision makes the steps of wanted objects.
type decision struct {
	in      Input
	ignore  []ignoreRule
	defined map[schema.GroupKind]bool // kinds whose CustomResourceDefinition is wanted
}

// step decides what happens to one wanted object.
func (d decision) step(desired *unstructured.Unstructured) Step {
	id := object.IDOf(desired)
	live, observed := d.in.Live[id]
	step := Step{ID: id, Version: desired.GroupVersionKind().Version}
	if live.Object != nil {
		step.UID, step.ResourceVersion = string(live.Object.GetUID()), live.Object.GetResourceVersion()
	}
	left := Left(desired, live.Object)
	switch {
	case left != "":
		return step.as(Skip, left)
	case !observed:
		return step.refused(fmt.Errorf("looking at %s: it was not looked at", id))
	case live.Failed != nil:
		return step.refused(live.Failed)
	case live.Unserved && d.defined[id.GroupKind()]:
		return step.as(Defer, "its CustomResourceDefinition is applied first")
	case live.Unserved:
		return step.refused(&UnservedError{ID: id, APIVersion: desired.GetAPIVersion()})
	case live.Converged:
		return step.as(Keep, "")
	case live.Object != nil && live.Object.GetDeletionTimestamp() != nil:
		return step.as(Defer, "it is being deleted; it is created again when it is gone")
	case live.Refused != nil:
		return d.refusal(step, desired, live)
	case live.Object == nil && d.in.Done[id]:
		return step.as(Skip, "it has run, and removed itself since")
	case live.Object == nil:
		step.Send = desired
		return step.as(Create, "")
	}
	return d.compared(step, desired, live)
}

// compared decides by what an apply would make of the live object.
func (d decision) compared(step Step, desired *unstructured.Unstructured, live Live) Step {
	clean, err := cleanupOf(desired, live.Object, d.in.Rules)
	if err != nil {
		return step.refused(err)
	}
	merged := live.Merged
	if merged == nil {
		merged = diff.Overlay(live.Object, desired)
	}
	ignored := ignoredPaths(merged, d.ignore)
	is, would := without(clean.live, ignored), without(merged, ignored)
	if live.Merged != nil && len(clean.patch) == 0 && !drifted(is, would) {
		return step.as(Keep, "")
	}
	step.Cleanup = clean.patch
	step.Send = settle(desired, clean.live, merged, ignored)
	step.Changes = diff.Fields(without(live.Object, ignored), clean.outcome(would))
	return step.as(Update, clean.why())
}

// refusal decides what becomes of an object whose dry-run was refused.
func (d decision) refusal(step Step, desired *unstructured.Unstructured, live Live) Step {
	if live.Object == nil {
		return step.refused(&RefusedError{ID: step.ID, Err: live.Refused})
	}
	clean, err := cleanupOf(desired, live.Object, d.in.Rules)
	if err == nil && clean.migrated && !live.Replaceable {
		// Entries of an old version are a known reason for a refusal.
		step.Cleanup, step.Send, step.Changes = clean.patch, desired, replaced(live.Object, desired)
		return step.as(Update, clean.why())
	}
	mayReplace := d.in.Rules.Force && !irreplaceable(step.ID) ||
		marked(desired, force, kustomizev1.EnabledValue) || marked(live.Object, force, kustomizev1.EnabledValue)
	if !live.Replaceable || !mayReplace {
		return step.refused(&RefusedError{ID: step.ID, Err: live.Refused, Replaceable: live.Replaceable})
	}
	step.Send, step.Changes = desired, replaced(live.Object, desired)
	return step.as(Replace, "a field cannot be changed: "+(&RefusedError{ID: step.ID, Err: live.Refused}).Error())
}

// irreplaceable are kinds that take more with them than themselves: only a mark
// on the object itself lets them be replaced.
func irreplaceable(id object.ID) bool {
	switch id.GroupKind() {
	case schema.GroupKind{Kind: "PersistentVolumeClaim"}, schema.GroupKind{Kind: "Namespace"},
		schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}:
		return true
	}
	return false
}

// replaced are the fields of desired that differ from what is live.
func replaced(live, desired *unstructured.Unstructured) []diff.Change {
	return diff.Fields(live, diff.Overlay(live, desired))
}

func (s Step) as(action Action, why string) Step {
	s.Action, s.Why = action, why
	return s
}

func (s Step) refused(err error) Step {
	s.Err = err
	return s.as(Refuse, err.Error())
}

// why says what a clean-up is for.
func (c cleanup) why() string {
	var reasons []string
	if c.migrated {
		reasons = append(reasons, "moves managed fields to the applied version")
	}
	if len(c.takenOver) > 0 {
		reasons = append(reasons, "takes over the fields of "+strings.Join(c.takenOver, ", "))
	}
	if len(c.removed) > 0 {
		reasons = append(reasons, "removes "+strings.Join(c.removed, ", "))
	}
	return strings.Join(reasons, "; ")
}
