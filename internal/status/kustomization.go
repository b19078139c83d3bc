package status

import (
	"fmt"
	"slices"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
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

// FoldKustomization folds the events of one roll-out, from its beginning to
// now. The status is written after each event, so two events that lead to the
// same status are one write. Notices come in the order of the events: folding
// with one more event only adds to them.
func FoldKustomization(previous kustomizev1.KustomizationStatus, about Delivery, events []event.Event) (kustomizev1.KustomizationStatus, []event.Notice) {
	f := &deliveryFold{previous: previous, next: *previous.DeepCopy(), about: about}
	f.conditions = conditions{list: f.next.Conditions, before: previous.Conditions, generation: about.Generation}
	for _, e := range events {
		f.apply(e)
		f.before = slices.Clone(f.list) // it was written, and seen
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
	changed []string          // lines of objects that were written and not yet told
	created map[string]string // Jobs, for the history
	wrote   bool
	planned bool
	health  *event.Healthy // it is part of the outcome
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
		f.plan(*e.Planned)
	case e.Changed != nil:
		f.change(*e.Changed)
	case e.Checking != nil:
		f.checking(e)
	case e.Canceled != nil:
		f.notify(e, event.Info, meta.HealthCheckCanceledReason, "Health checks canceled due to new reconciliation triggered by "+e.Canceled.By)
	case e.Healthy != nil:
		f.health = e.Healthy
	case e.Delivered != nil:
		f.delivered(e)
	case e.Failed != nil:
		f.failed(e)
	case e.Removed != nil:
		f.removed(e)
	case e.Warned != nil:
		f.notify(e, event.Error, e.Warned.Reason, e.Warned.Text)
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
		f.notify(e, event.Info, reason, "Dependencies do not meet ready condition: "+w.Text)
	}
}

// plan: something is going to be written.
func (f *deliveryFold) plan(p event.Planned) {
	f.planned, f.attempt = true, p.Attempt
	f.next.Inventory = inventoryOf(p.Inventory)
	text := fmt.Sprintf("Applying revision %s with a timeout of %s: %s", p.Revision, p.Timeout, p.Summary)
	if p.Checks {
		text += "; then running health checks"
	}
	f.progress(p.Revision, text)
	if p.Checks {
		f.set(meta.HealthyCondition, metav1.ConditionUnknown, meta.ProgressingReason, checkingText(p.Revision, p.Timeout))
	} else {
		f.remove(meta.HealthyCondition)
	}
}

func (f *deliveryFold) progress(revision, text string) {
	f.next.LastAttemptedRevision = revision
	f.remove(meta.StalledCondition)
	f.set(meta.ReadyCondition, metav1.ConditionUnknown, meta.ProgressingReason, "Reconciliation in progress")
	f.set(meta.ReconcilingCondition, metav1.ConditionTrue, meta.ProgressingReason, text)
}

func checkingText(revision string, timeout time.Duration) string {
	return fmt.Sprintf("Running health checks for revision %s with a timeout of %s", revision, timeout)
}

// checking is shown unless the plan has said already that health is waited for,
// or the status has a verdict on this very content: that stays until there is
// another.
func (f *deliveryFold) checking(e event.Event) {
	c := e.Checking
	f.attempt = c.Attempt
	f.tellChanged(e)
	if f.planned || f.judged(c.Revision) {
		return
	}
	f.progress(c.Revision, checkingText(c.Revision, c.Timeout))
	f.set(meta.HealthyCondition, metav1.ConditionUnknown, meta.ProgressingReason, checkingText(c.Revision, c.Timeout))
}

// judged tells whether the status is a verdict on the health of a revision, as
// the present spec has it.
func (f *deliveryFold) judged(revision string) bool {
	was := conditions{list: f.previous.Conditions}
	ready := was.get(meta.ReadyCondition)
	return f.previous.LastAttemptedRevision == revision && ready.ObservedGeneration == f.about.Generation &&
		(ready.Status == metav1.ConditionTrue || ready.Reason == meta.HealthCheckFailedReason)
}

// handled: whoever requested a run is answered, whatever became of it.
func (f *deliveryFold) handled() {
	if f.about.RequestedAt != "" {
		f.next.LastHandledReconcileAt = f.about.RequestedAt
	}
}
