package status

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/fluxcd/pkg/apis/acl"
	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/internal/event"
)

// Reasons of our own, beside those of kustomize-controller.
const (
	// ReasonEmpty: nothing was found at the path, and everything would be pruned.
	ReasonEmpty = "EmptyBuild"
)

// deliveryReasons of failed steps.
var deliveryReasons = map[event.Step]string{
	event.StepAccept:  ReasonUnsupported,
	event.StepAccess:  acl.AccessDeniedReason,
	event.StepExpr:    meta.InvalidCELExpressionReason,
	event.StepBundle:  meta.ArtifactFailedReason,
	event.StepBuild:   meta.BuildFailedReason,
	event.StepTarget:  meta.ReconciliationFailedReason,
	event.StepPlan:    meta.ReconciliationFailedReason,
	event.StepEmpty:   ReasonEmpty,
	event.StepApply:   meta.ReconciliationFailedReason,
	event.StepPrune:   meta.PruneFailedReason,
	event.StepHealth:  meta.HealthCheckFailedReason,
	event.StepRemoval: meta.PruneFailedReason,
}

// tracked steps have built something: their failures are part of the history.
var tracked = map[event.Step]bool{event.StepPlan: true, event.StepApply: true, event.StepPrune: true, event.StepHealth: true}

func (f *deliveryFold) delivered(e event.Event) {
	d := e.Delivered
	f.attempt = d.Attempt
	f.tellChanged(e)
	f.healthy(e)
	was := conditions{list: f.previous.Conditions}
	ready := was.get(meta.ReadyCondition).Status
	moved := f.previous.LastAppliedRevision != d.Revision
	anew := f.next.ObservedGeneration != f.about.Generation
	f.remove(meta.ReconcilingCondition, meta.StalledCondition)
	f.set(meta.ReadyCondition, metav1.ConditionTrue, meta.ReconciliationSucceededReason, "Applied revision: "+d.Revision)
	f.next.Inventory = inventoryOf(d.Inventory)
	f.next.LastAttemptedRevision, f.next.LastAppliedRevision = d.Revision, d.Revision
	f.next.LastAppliedOriginRevision = d.Origin
	f.next.ObservedGeneration = f.about.Generation
	f.handled()
	if f.wrote || moved || ready != metav1.ConditionTrue {
		f.record(e, d.Took, meta.ReconciliationSucceededReason, d.Jobs)
	}
	// A commit has one status: it is said again only if a failure was said.
	if moved || anew || ready == metav1.ConditionFalse {
		f.succeeded(e)
	}
}

// healthy says that the objects work, if that is news.
func (f *deliveryFold) healthy(e event.Event) {
	was := conditions{list: f.previous.Conditions}
	known := was.isTrue(meta.HealthyCondition) && !f.wrote && f.attempt.Revision == f.previous.LastAppliedRevision
	switch {
	case !e.Delivered.Checked:
		f.remove(meta.HealthyCondition)
	case known || f.health == nil:
		f.keep(was, meta.HealthyCondition, f.generation)
	default:
		message := fmt.Sprintf("Health check passed in %s", f.health.Took)
		f.set(meta.HealthyCondition, metav1.ConditionTrue, meta.SucceededReason, message)
		if !was.isTrue(meta.HealthyCondition) || f.wrote && f.attempt.Revision != f.previous.LastAppliedRevision {
			f.notify(e, event.Info, meta.ProgressingReason, message)
		}
	}
}

// keep puts a condition back as it was.
func (f *deliveryFold) keep(was conditions, kind string, generation int64) {
	old := was.get(kind)
	f.remove(kind)
	if old.Type != "" {
		old.ObservedGeneration = generation
		f.list = append(f.list, old)
	}
}

func (f *deliveryFold) failed(e event.Event) {
	failed := e.Failed
	reason := deliveryReasons[failed.Step]
	if reason == "" {
		reason = meta.FailedReason
	}
	message := trim(strings.TrimSpace(failed.Text + "\n" + strings.Join(f.changed, "\n")))
	f.changed = nil
	was := conditions{list: f.previous.Conditions}
	before := was.get(meta.ReadyCondition)
	same := before.Status == metav1.ConditionFalse && before.Reason == reason && cause(before.Message) == cause(message)
	if same {
		message = before.Message
	}
	if a := failed.Attempt; a != nil && a.Revision != "" {
		f.attempt = *a
		f.next.LastAttemptedRevision = a.Revision
	}
	if failed.Inventory != nil {
		f.next.Inventory = inventoryOf(failed.Inventory)
	}
	f.retried(failed, reason, message)
	f.set(meta.ReadyCondition, metav1.ConditionFalse, reason, message)
	switch {
	case failed.Step == event.StepHealth:
		f.set(meta.HealthyCondition, metav1.ConditionFalse, reason, message)
	case f.planned:
		f.keep(was, meta.HealthyCondition, was.get(meta.HealthyCondition).ObservedGeneration) // nobody looked
	}
	f.handled()
	if same {
		return
	}
	if tracked[failed.Step] && f.attempt.Digest != "" {
		f.record(e, e.At.Sub(f.started), reason, f.jobs())
	}
	f.notify(e, event.Error, reason, message)
}

// retried says whether it is tried again by itself, and, as Flux does, what it
// was busy with.
func (f *deliveryFold) retried(failed *event.Failed, reason, message string) {
	busy := f.get(meta.ReconcilingCondition)
	was := conditions{list: f.previous.Conditions}
	before := was.get(meta.ReadyCondition)
	again := before.Reason == reason && f.previous.LastAttemptedRevision == f.attempt.Revision && busy.Message != before.Message
	switch healthy := f.get(meta.HealthyCondition); {
	case failed.Stalled:
		f.remove(meta.ReconcilingCondition)
		f.set(meta.StalledCondition, metav1.ConditionTrue, reason, message)
		f.next.ObservedGeneration = f.about.Generation
		return
	case failed.Step == event.StepHealth && healthy.Status == metav1.ConditionUnknown:
		message = healthy.Message
	case busy.Reason == meta.ProgressingReason, again && busy.Type != "":
		message = busy.Message
	}
	f.remove(meta.StalledCondition)
	f.set(meta.ReconcilingCondition, metav1.ConditionTrue, meta.ProgressingWithRetryReason, message)
}

// The parts of a message that differ from one try to the next: how long it took,
// and what was written before it failed.
var (
	passing = regexp.MustCompile(` after [^ ]+:`)
	written = regexp.MustCompile(`(?m)^\S+ (created|configured|deleted|skipped)$`)
)

// cause is what stays the same of a message for the same reason to fail.
func cause(message string) string {
	return strings.TrimSpace(written.ReplaceAllString(passing.ReplaceAllString(message, ":"), ""))
}

func (f *deliveryFold) removed(e event.Event) {
	f.tellChanged(e)
	if r := e.Removed; len(r.Left) > 0 {
		f.notify(e, event.Error, meta.PruneFailedReason, fmt.Sprintf("%s: \n%s", r.Why, strings.Join(r.Left, "\n")))
	}
}
