package status

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/acl"
	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/internal/event"
)

// Delivery is what a fold has to know of a Kustomization besides its status.
type Delivery struct {
	Object      event.Object
	Generation  int64
	RequestedAt string // of the reconcile.fluxcd.io/requestedAt annotation, if there is one
}

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

// FoldKustomization folds the events of one roll-out, from its beginning to
// now. Notices come in the order of the events: folding with one more event
// only adds to them.
func FoldKustomization(previous kustomizev1.KustomizationStatus, about Delivery, events []event.Event) (kustomizev1.KustomizationStatus, []event.Notice) {
	f := &deliveryFold{previous: previous, next: *previous.DeepCopy(), about: about}
	f.conditions = conditions{list: f.next.Conditions, before: previous.Conditions, generation: about.Generation}
	for _, e := range events {
		f.apply(e)
	}
	f.next.Conditions = f.sorted()
	return f.next, f.notices
}

type deliveryFold struct {
	previous kustomizev1.KustomizationStatus
	next     kustomizev1.KustomizationStatus
	about    Delivery
	conditions
	attempt event.Attempt
	started time.Time
	changed []string // lines of objects that were written and not yet told
	wrote   bool
	notices []event.Notice
}

func (f *deliveryFold) apply(e event.Event) {
	f.now = e.At
	if f.started.IsZero() {
		f.started = e.At
	}
	switch {
	case e.Waiting != nil:
		f.waiting(e)
	case e.Planned != nil:
		f.planned(e)
	case e.Changed != nil:
		for _, c := range e.Changed.Objects {
			f.changed = append(f.changed, c.Object+" "+c.Action)
		}
		f.wrote = true
	case e.Checking != nil:
		f.checking(e)
	case e.Healthy != nil:
		f.healthy(e)
	case e.Delivered != nil:
		f.delivered(e)
	case e.Failed != nil:
		f.failed(e)
	case e.Removed != nil:
		f.removed(e)
	case e.Warned != nil:
		f.notify(e, event.Error, e.Warned.Reason, e.Warned.Text, nil)
	}
}

func (f *deliveryFold) waiting(e event.Event) {
	w := e.Waiting
	f.attempt = w.Attempt
	reason := meta.ArtifactFailedReason
	if w.On == event.OnDependency {
		reason = meta.DependencyNotReadyReason
	}
	before := f.get(meta.ReadyCondition)
	f.remove(meta.StalledCondition)
	f.set(meta.ReadyCondition, metav1.ConditionFalse, reason, w.Text)
	f.set(meta.ReconcilingCondition, metav1.ConditionTrue, meta.ProgressingWithRetryReason, w.Text)
	f.handled()
	if w.On == event.OnDependency && before.Reason != reason {
		f.notify(e, event.Info, reason, "Dependencies do not meet ready condition: "+w.Text, nil)
	}
}

func (f *deliveryFold) planned(e event.Event) {
	p := e.Planned
	f.attempt = p.Attempt
	f.next.LastAttemptedRevision = p.Revision
	f.next.Inventory = inventoryOf(p.Inventory)
	f.remove(meta.StalledCondition)
	f.set(meta.ReadyCondition, metav1.ConditionUnknown, meta.ProgressingReason, "Reconciliation in progress")
	f.set(meta.ReconcilingCondition, metav1.ConditionTrue, meta.ProgressingReason,
		fmt.Sprintf("Applying revision %s with a timeout of %s: %s", p.Revision, p.Timeout, p.Summary))
	if p.Checks {
		f.set(meta.HealthyCondition, metav1.ConditionUnknown, meta.ProgressingReason, checkingText(p.Revision, p.Timeout))
	} else {
		f.remove(meta.HealthyCondition)
	}
	f.before = append([]metav1.Condition(nil), f.list...) // written before the first effect, so it was seen
}

func checkingText(revision string, timeout time.Duration) string {
	return fmt.Sprintf("Running health checks for revision %s with a timeout of %s", revision, timeout)
}

// checking counts only if a write announced it: looking again at what runs is
// no news.
func (f *deliveryFold) checking(e event.Event) {
	f.attempt = e.Checking.Attempt
	f.tellChanged(e)
	if f.get(meta.ReadyCondition).Status == metav1.ConditionUnknown {
		f.set(meta.ReconcilingCondition, metav1.ConditionTrue, meta.ProgressingReason, checkingText(e.Checking.Revision, e.Checking.Timeout))
	}
}

func (f *deliveryFold) healthy(e event.Event) {
	was := conditions{list: f.previous.Conditions}
	message := fmt.Sprintf("Health check passed in %s", e.Healthy.Took.Round(time.Millisecond))
	newRevision := f.attempt.Revision != f.previous.LastAppliedRevision
	if was.isTrue(meta.HealthyCondition) && !f.wrote && !newRevision {
		f.keep(was, meta.HealthyCondition)
		return
	}
	f.tellChanged(e)
	f.set(meta.HealthyCondition, metav1.ConditionTrue, meta.SucceededReason, message)
	if !was.isTrue(meta.HealthyCondition) || newRevision && f.wrote {
		f.notify(e, event.Info, meta.ProgressingReason, message, nil)
	}
}

// keep puts a condition back as it was.
func (f *deliveryFold) keep(was conditions, kind string) {
	old := was.get(kind)
	f.remove(kind)
	if old.Type != "" {
		old.ObservedGeneration = f.generation
		f.list = append(f.list, old)
	}
}

func (f *deliveryFold) delivered(e event.Event) {
	d := e.Delivered
	f.attempt = d.Attempt
	f.tellChanged(e)
	was := conditions{list: f.previous.Conditions}
	news := f.wrote || f.previous.LastAppliedRevision != d.Revision || !was.isTrue(meta.ReadyCondition) || f.asked()
	f.remove(meta.ReconcilingCondition, meta.StalledCondition)
	if !d.Checked {
		f.remove(meta.HealthyCondition)
	}
	f.set(meta.ReadyCondition, metav1.ConditionTrue, meta.ReconciliationSucceededReason, "Applied revision: "+d.Revision)
	f.next.Inventory = inventoryOf(d.Inventory)
	f.next.LastAttemptedRevision, f.next.LastAppliedRevision = d.Revision, d.Revision
	f.next.LastAppliedOriginRevision = d.Origin
	f.next.ObservedGeneration = f.about.Generation
	f.handled()
	if !news {
		return
	}
	f.record(e, d.Took, meta.ReconciliationSucceededReason, d.Jobs)
	if f.wrote || f.previous.LastAppliedRevision != d.Revision || !was.isTrue(meta.ReadyCondition) {
		f.notify(e, event.Info, meta.ReconciliationSucceededReason,
			fmt.Sprintf("Reconciliation finished in %s, next run in %s", d.Took.Round(time.Millisecond), d.Next),
			map[string]string{kustomizev1.GroupVersion.Group + "/commit_status": "update"})
	}
}

// passing is the part of a message that differs from one try to the next.
var passing = regexp.MustCompile(` after [^ ]+:`)

func (f *deliveryFold) failed(e event.Event) {
	failed := e.Failed
	reason := deliveryReasons[failed.Step]
	message := strings.TrimSpace(failed.Text + "\n" + strings.Join(f.changed, "\n"))
	f.changed = nil
	was := conditions{list: f.previous.Conditions}
	before := was.get(meta.ReadyCondition)
	same := before.Status == metav1.ConditionFalse && before.Reason == reason &&
		passing.ReplaceAllString(before.Message, ":") == passing.ReplaceAllString(trim(message), ":")
	if same {
		message = before.Message
	}
	if a := failed.Attempt; a != nil {
		f.attempt = *a
		f.next.LastAttemptedRevision = a.Revision
	}
	if failed.Inventory != nil {
		f.next.Inventory = inventoryOf(failed.Inventory)
	}
	f.set(meta.ReadyCondition, metav1.ConditionFalse, reason, message)
	if failed.Step == event.StepHealth {
		f.set(meta.HealthyCondition, metav1.ConditionFalse, reason, message)
	}
	if failed.Stalled {
		f.remove(meta.ReconcilingCondition)
		f.set(meta.StalledCondition, metav1.ConditionTrue, reason, message)
		f.next.ObservedGeneration = f.about.Generation
	} else {
		f.remove(meta.StalledCondition)
		f.set(meta.ReconcilingCondition, metav1.ConditionTrue, meta.ProgressingWithRetryReason, message)
	}
	if tracked[failed.Step] && f.attempt.Digest != "" && (!same || f.asked()) {
		f.record(e, e.At.Sub(f.started), reason, nil)
	}
	f.handled()
	if !same {
		f.notify(e, event.Error, reason, message, nil)
	}
}

func (f *deliveryFold) removed(e event.Event) {
	f.tellChanged(e)
	if r := e.Removed; len(r.Left) > 0 {
		f.notify(e, event.Error, meta.PruneFailedReason, fmt.Sprintf("%s: \n%s", r.Why, strings.Join(r.Left, "\n")), nil)
	}
}

func (f *deliveryFold) record(e event.Event, took time.Duration, reason string, jobs map[string]string) {
	metadata := map[string]string{"revision": f.attempt.Revision}
	if f.attempt.Origin != "" {
		metadata["originRevision"] = f.attempt.Origin
	}
	for job, digest := range jobs {
		metadata[job] = digest
	}
	f.next.History.Upsert(f.attempt.Digest, e.At.UTC().Truncate(time.Second), took.Round(time.Millisecond), reason, metadata)
}

// tellChanged makes one notice of all that was written so far.
func (f *deliveryFold) tellChanged(e event.Event) {
	if len(f.changed) > 0 {
		f.notify(e, event.Info, meta.ProgressingReason, strings.Join(f.changed, "\n"), nil)
	}
	f.changed = nil
}

// asked tells whether somebody requested this run.
func (f *deliveryFold) asked() bool {
	return f.about.RequestedAt != "" && f.about.RequestedAt != f.previous.LastHandledReconcileAt
}

func (f *deliveryFold) handled() {
	if f.about.RequestedAt != "" {
		f.next.LastHandledReconcileAt = f.about.RequestedAt
	}
}

func (f *deliveryFold) notify(e event.Event, severity event.Severity, reason, message string, extra map[string]string) {
	n := event.Notice{Object: f.about.Object, At: e.At, Severity: severity, Reason: reason, Message: message, Metadata: map[string]string{}}
	for key, value := range extra {
		n.Metadata[key] = value
	}
	if f.attempt.Revision != "" {
		n.Metadata[kustomizev1.GroupVersion.Group+"/revision"] = f.attempt.Revision
	}
	if f.attempt.Origin != "" {
		n.Metadata[kustomizev1.GroupVersion.Group+"/originRevision"] = f.attempt.Origin
	}
	f.notices = append(f.notices, n)
}

func inventoryOf(items []event.Item) *kustomizev1.ResourceInventory {
	inv := &kustomizev1.ResourceInventory{Entries: []kustomizev1.ResourceRef{}}
	for _, i := range items {
		inv.Entries = append(inv.Entries, kustomizev1.ResourceRef{ID: i.ID, Version: i.Version})
	}
	return inv
}
