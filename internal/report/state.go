package report

import (
	"regexp"
	"strings"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// SuspendReason is the annotation that says why an object is suspended.
const SuspendReason = "sluice.dev/suspend-reason"

// State is how an object is, in one word.
type State string

// The states.
const (
	Ready       State = "ready"
	Progressing State = "progressing"
	Waiting     State = "waiting"   // for a source or a dependency
	Failed      State = "failed"    // and tried again by itself
	Stalled     State = "stalled"   // failed, and only a changed spec helps
	Suspended   State = "suspended" // nothing happens by itself
	Deleting    State = "deleting"
	Missing     State = "missing" // others need it, and it is not there
)

// verdict is a state with the condition it comes from.
type verdict struct {
	state State
	since time.Time
	note  string // why, in one line
}

// judge reads the conditions as kstatus and Flux's clients do, and keeps what
// waits apart from what has failed: both are Ready=False.
func judge(o client.Object) verdict {
	ready := condition(o, meta.ReadyCondition)
	v := verdict{state: Progressing}
	if ready != nil {
		v.since = ready.LastTransitionTime.Time
	}
	switch {
	case o.GetDeletionTimestamp() != nil:
		return verdict{Deleting, o.GetDeletionTimestamp().Time, readyNote(ready)}
	case suspended(o):
		v.state, v.note = Suspended, suspendNote(o, ready)
	case ready == nil:
		v.since, v.note = o.GetCreationTimestamp().Time, "not looked at yet: is a controller running?"
	case ready.ObservedGeneration < o.GetGeneration():
		v.note = "its new spec is not looked at yet"
	case ready.Status == metav1.ConditionTrue:
		v.state, v.note = Ready, remark(ready.Message)
	case ready.Status == metav1.ConditionUnknown:
		v.note = progressNote(o, ready)
	case waits(ready):
		v.state, v.note = Waiting, Brief(ready.Message)
	default:
		v.state, v.note = Failed, readyNote(ready)
		if c := condition(o, meta.StalledCondition); c != nil && c.Status == metav1.ConditionTrue {
			v.state = Stalled
		}
	}
	return v
}

func condition(o client.Object, kind string) *metav1.Condition {
	if s, ok := o.(interface{ GetConditions() []metav1.Condition }); ok {
		return apimeta.FindStatusCondition(s.GetConditions(), kind)
	}
	return nil
}

// waits tells Flux's two ways of waiting: for dependencies, and for a source
// that is not there or has published nothing. A source's other troubles and a
// missing path have the same reason and are failures. (kustomize-controller
// internal/controller Reconcile)
func waits(ready *metav1.Condition) bool {
	return ready.Reason == meta.DependencyNotReadyReason ||
		ready.Reason == meta.ArtifactFailedReason && strings.HasPrefix(ready.Message, "Source ") && strings.Contains(ready.Message, "not found")
}

func readyNote(ready *metav1.Condition) string {
	if ready == nil || ready.Status == metav1.ConditionTrue {
		return ""
	}
	return strings.Trim(ready.Reason+": "+Brief(ready.Message), ": ")
}

// known is the part of a progress message that a row shows in other columns.
var known = regexp.MustCompile(`( for)? revision \S+ with a timeout of [0-9.hmsµn]+`)

func progressNote(o client.Object, ready *metav1.Condition) string {
	if c := condition(o, meta.ReconcilingCondition); c != nil && c.Message != "" {
		return known.ReplaceAllString(Brief(c.Message), "")
	}
	return Brief(ready.Message)
}

func suspendNote(o client.Object, ready *metav1.Condition) string {
	note := o.GetAnnotations()[SuspendReason]
	if ready != nil && ready.Status == metav1.ConditionFalse {
		note = strings.Trim(note+"; was not ready: "+readyNote(ready), "; ")
	}
	return Brief(note)
}

// remark is what a Ready condition says beyond the usual: that a tag is held,
// for example.
func remark(message string) string {
	_, more, _ := strings.Cut(message, "; ")
	return Brief(more)
}

func suspended(o client.Object) bool {
	switch o := o.(type) {
	case *kustomizev1.Kustomization:
		return o.Spec.Suspend
	case *sourcev1.OCIRepository:
		return o.Spec.Suspend
	case *sourcev1.GitRepository:
		return o.Spec.Suspend
	case *sourcev1.Bucket:
		return o.Spec.Suspend
	}
	return false
}

var digests = regexp.MustCompile(`\b(sha256:[0-9a-f]{12})[0-9a-f]+…?`)

// Brief is the first line of a message, with digests cut to what tells them
// apart.
func Brief(message string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(message), "\n")
	return digests.ReplaceAllString(strings.TrimSpace(line), "$1")
}
