package status

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/internal/event"
)

// Source is what a fold has to know of an OCIRepository besides its status.
type Source struct {
	Object        event.Object
	Generation    int64
	RequestedAt   string // of the reconcile.fluxcd.io/requestedAt annotation, if there is one
	URL           string
	Ignore        *string
	LayerSelector *sourcev1.OCILayerSelector
}

// Reasons of our own, beside those of source-controller.
const (
	// ReasonUnsupported: a field asks for what this version cannot do yet.
	ReasonUnsupported = "UnsupportedField"
	// ReasonTagDisappeared: what is followed is gone and is held.
	ReasonTagDisappeared = "TagDisappeared"
	// ReasonTagMovedBack: a tag leads to older content than before.
	ReasonTagMovedBack = "TagMovedBack"
	// ReasonFieldIgnored: a field has no effect beside a stronger one.
	ReasonFieldIgnored = "FieldIgnored"
)

// outcomes of a failed step: the condition that says so, and its reason.
var outcomes = map[event.Step]struct{ condition, reason string }{
	event.StepAccept:  {sourcev1.FetchFailedCondition, ReasonUnsupported},
	event.StepURL:     {sourcev1.FetchFailedCondition, sourcev1.URLInvalidReason},
	event.StepLogin:   {sourcev1.FetchFailedCondition, sourcev1.AuthenticationFailedReason},
	event.StepSelect:  {sourcev1.FetchFailedCondition, sourcev1.ReadOperationFailedReason},
	event.StepResolve: {sourcev1.FetchFailedCondition, sourcev1.OCIPullFailedReason},
	event.StepPull:    {sourcev1.FetchFailedCondition, sourcev1.OCIPullFailedReason},
	event.StepLayer:   {sourcev1.FetchFailedCondition, sourcev1.OCILayerOperationFailedReason},
	event.StepStore:   {sourcev1.StorageOperationFailedCondition, sourcev1.ArchiveOperationFailedReason},
	event.StepCleanup: {sourcev1.StorageOperationFailedCondition, "GarbageCollectionFailed"},
}

// FoldOCI folds the events of one run. Without an outcome among them (Stored,
// Unchanged or Failed) the run is still going on and the status says so.
func FoldOCI(previous sourcev1.OCIRepositoryStatus, about Source, events []event.Event) (sourcev1.OCIRepositoryStatus, []event.Notice) {
	f := &fold{previous: previous, next: *previous.DeepCopy(), about: about}
	f.conditions = conditions{list: f.next.Conditions, before: previous.Conditions, generation: about.Generation}
	for _, e := range events {
		f.apply(e)
	}
	f.next.Conditions = f.conditions.sorted()
	return f.next, f.notices
}

type fold struct {
	previous sourcev1.OCIRepositoryStatus
	next     sourcev1.OCIRepositoryStatus
	about    Source
	conditions
	held    string // what to say of a held tag
	notices []event.Notice
}

func (f *fold) apply(e event.Event) {
	f.now = e.At
	switch {
	case e.Asking != nil:
		// A routine look changes nothing that people wait for.
		if f.previous.ObservedGeneration != f.about.Generation {
			f.progress("asking " + e.Asking.Repository)
		}
	case e.Overruled != nil:
		f.notify(e, event.Error, ReasonFieldIgnored, fmt.Sprintf("%s has no effect beside %s", strings.Join(e.Overruled.Fields, ", "), e.Overruled.By))
	case e.Lost != nil:
		// The artifact stays in the status: it is the memory of what is followed,
		// without which a tag that disappeared could not be held.
		f.remove(sourcev1.ArtifactInStorageCondition)
		f.progress("building artifact: disappeared from storage")
	case e.Held != nil:
		f.held = heldText(*e.Held)
		if !strings.HasSuffix(f.readyBefore().Message, f.held) {
			f.notify(e, event.Error, ReasonTagDisappeared, f.held)
		}
	case e.Found != nil:
		message := fmt.Sprintf("new revision '%s' for '%s'", e.Found.Revision, e.Found.Reference)
		if f.next.Artifact != nil && f.next.Artifact.Revision != e.Found.Revision {
			f.set(sourcev1.ArtifactOutdatedCondition, metav1.ConditionTrue, "NewRevision", message)
		}
		f.progress("building artifact: " + message)
	case e.Stored != nil:
		f.stored(e)
	case e.Unchanged != nil:
		if f.next.Artifact != nil {
			f.next.Artifact.URL, f.next.URL = e.Unchanged.URL, e.Unchanged.Latest
		}
		f.succeed(e, e.Unchanged.Revision)
	case e.Failed != nil:
		f.fail(e)
	}
}

func heldText(h event.Held) string {
	if h.Best == "" {
		return fmt.Sprintf("%s disappeared, holding; no tag matches %s any more", h.Tag, h.Rule)
	}
	return fmt.Sprintf("%s disappeared, holding; the best tag now is %s, which is lower (to take it, request a reconciliation)", h.Tag, h.Best)
}

func (f *fold) progress(message string) {
	f.remove(meta.StalledCondition) // work goes on, so it is not stuck
	f.set(meta.ReconcilingCondition, metav1.ConditionTrue, meta.ProgressingReason, message)
	f.set(meta.ReadyCondition, metav1.ConditionUnknown, meta.ProgressingReason, message)
}

func (f *fold) stored(e event.Event) {
	s := e.Stored
	size := s.Size
	f.next.Artifact = &meta.Artifact{
		Path: s.Path, URL: s.URL, Revision: s.Revision, Digest: s.Digest, Size: &size, Metadata: s.Metadata,
		LastUpdateTime: metav1.NewTime(e.At.UTC().Truncate(time.Second)),
	}
	f.next.URL = s.Latest
	if s.MovedBack != "" {
		f.notify(e, event.Error, ReasonTagMovedBack, s.MovedBack)
	}
	f.succeed(e, s.Revision)
}

func (f *fold) succeed(e event.Event, revision string) {
	message := fmt.Sprintf("stored artifact for digest '%s'", revision)
	f.remove(sourcev1.FetchFailedCondition, sourcev1.StorageOperationFailedCondition, sourcev1.ArtifactOutdatedCondition,
		meta.ReconcilingCondition, meta.StalledCondition)
	f.set(sourcev1.ArtifactInStorageCondition, metav1.ConditionTrue, meta.SucceededReason, message)
	if f.held != "" {
		message += "; " + f.held
	}
	f.set(meta.ReadyCondition, metav1.ConditionTrue, meta.SucceededReason, message)
	f.next.ObservedGeneration = f.about.Generation
	f.next.ObservedIgnore, f.next.ObservedLayerSelector = f.about.Ignore, f.about.LayerSelector
	f.handled()

	was := conditions{list: f.previous.Conditions}
	recovered := was.isTrue(sourcev1.FetchFailedCondition) || was.isTrue(sourcev1.StorageOperationFailedCondition)
	switch {
	case f.next.Artifact == nil:
	case !f.previous.Artifact.HasDigest(f.next.Artifact.Digest):
		f.notify(e, event.Info, "NewArtifact", f.storedText())
	case recovered:
		f.notify(e, event.Info, meta.SucceededReason, f.storedText())
	}
}

// storedText is source-controller's (ocirepository_controller.go notify).
func (f *fold) storedText() string {
	a := f.next.Artifact
	text := fmt.Sprintf("stored artifact with revision '%s' from '%s'", a.Revision, f.about.URL)
	source, revision := a.Metadata["org.opencontainers.image.source"], a.Metadata["org.opencontainers.image.revision"]
	if source != "" && revision != "" {
		text += fmt.Sprintf(", origin source '%s', origin revision '%s'", source, revision)
	}
	return text
}

func (f *fold) fail(e event.Event) {
	outcome, known := outcomes[e.Failed.Step]
	if !known {
		outcome.condition, outcome.reason = sourcev1.FetchFailedCondition, meta.FailedReason
	}
	message := e.Failed.Text
	was := conditions{list: f.previous.Conditions}
	before := was.get(outcome.condition) // Ready may have been Unknown in between
	if outcome.condition == sourcev1.FetchFailedCondition {
		f.remove(sourcev1.StorageOperationFailedCondition)
	} else {
		f.remove(sourcev1.FetchFailedCondition)
	}
	f.set(outcome.condition, metav1.ConditionTrue, outcome.reason, message)
	f.set(meta.ReadyCondition, metav1.ConditionFalse, outcome.reason, message)
	if e.Failed.Stalled {
		f.remove(meta.ReconcilingCondition)
		f.set(meta.StalledCondition, metav1.ConditionTrue, outcome.reason, message)
		f.next.ObservedGeneration = f.about.Generation
	} else {
		f.remove(meta.StalledCondition)
		f.set(meta.ReconcilingCondition, metav1.ConditionTrue, meta.ProgressingWithRetryReason, message)
	}
	f.handled()
	if before.Status != metav1.ConditionTrue || before.Reason != outcome.reason || before.Message != trim(message) {
		f.notify(e, event.Error, outcome.reason, message)
	}
}

func (f *fold) handled() {
	if f.about.RequestedAt != "" {
		f.next.SetLastHandledReconcileRequest(f.about.RequestedAt)
	}
}

func (f *fold) readyBefore() metav1.Condition {
	was := conditions{list: f.previous.Conditions}
	return was.get(meta.ReadyCondition)
}

func (f *fold) notify(e event.Event, severity event.Severity, reason, message string) {
	n := event.Notice{Object: f.about.Object, At: e.At, Severity: severity, Reason: reason, Message: message}
	if a := f.next.Artifact; a != nil && severity == event.Info {
		n.Metadata = map[string]string{
			sourcev1.GroupVersion.Group + "/revision": a.Revision,
			sourcev1.GroupVersion.Group + "/digest":   a.Digest,
		}
	}
	f.notices = append(f.notices, n)
}

// Outcome finds the event that ends a run.
func Outcome(events []event.Event) (event.Event, bool) {
	i := slices.IndexFunc(events, func(e event.Event) bool { return e.Stored != nil || e.Unchanged != nil || e.Failed != nil })
	if i < 0 {
		return event.Event{}, false
	}
	return events[i], true
}
