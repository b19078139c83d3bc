// Package steer reads the annotations by which a user tells the lab how an
// object shall behave.
//
// In: the annotations of a pod or of a custom resource, and the behaviours that
// this sort of object knows. Out: a Wish, and sentences about what could not be
// understood. It never fails: whatever it does not understand means the default
// behaviour, because an object in the lab must not hang on a typing error.
package steer

import (
	"fmt"
	"strings"
	"time"
)

// What users write on objects.
const (
	BehaviorAnnotation = "lab.sluice.dev/behavior"
	AfterAnnotation    = "lab.sluice.dev/after"
	RulesLabel         = "lab.sluice.dev/status-rules"
)

// Behavior is what an object does instead of becoming ready.
type Behavior string

// The behaviours; Default is to become ready, or to complete.
const (
	Default          Behavior = ""
	CrashLoop        Behavior = "crash-loop"
	ImagePullError   Behavior = "image-pull-error"
	Hang             Behavior = "hang"
	Fail             Behavior = "fail"
	Unready          Behavior = "unready"
	Unschedulable    Behavior = "unschedulable"
	StuckTerminating Behavior = "stuck-terminating"
)

// Of a pod and of a custom resource, in the order in which messages name them.
var (
	PodBehaviors      = []Behavior{CrashLoop, ImagePullError, Hang, Fail, Unready, Unschedulable, StuckTerminating}
	ResourceBehaviors = []Behavior{Hang, Fail}
)

// Wish is what the annotations of one object ask for.
type Wish struct {
	Behavior Behavior
	// After is nil if the object does not say; zero means at once.
	After *time.Duration
}

// AfterOr is the delay asked for, or the given one.
func (w Wish) AfterOr(usual time.Duration) time.Duration {
	if w.After == nil {
		return usual
	}
	return *w.After
}

// Key is equal for equal wishes.
func (w Wish) Key() string {
	return fmt.Sprintf("%s/%s", w.Behavior, w.AfterOr(-1))
}

// Read returns the wish and one sentence for each annotation that was not understood.
func Read(annotations map[string]string, allowed []Behavior) (Wish, []string) {
	var wish Wish
	var problems []string
	if text, ok := annotations[BehaviorAnnotation]; ok {
		if known(Behavior(text), allowed) {
			wish.Behavior = Behavior(text)
		} else {
			problems = append(problems, fmt.Sprintf("%s: %q is unknown here, so the default behaviour is used; allowed are %s",
				BehaviorAnnotation, text, list(allowed)))
		}
	}
	if text, ok := annotations[AfterAnnotation]; ok {
		if d, err := time.ParseDuration(text); err == nil && d >= 0 {
			wish.After = &d
		} else {
			problems = append(problems, fmt.Sprintf("%s: %q is not a duration, so the default delay is used; write for example 5s or 1m30s",
				AfterAnnotation, text))
		}
	}
	return wish, problems
}

func known(b Behavior, allowed []Behavior) bool {
	for _, a := range allowed {
		if a == b {
			return true
		}
	}
	return false
}

func list(behaviors []Behavior) string {
	names := make([]string, len(behaviors))
	for i, b := range behaviors {
		names[i] = string(b)
	}
	return strings.Join(names, ", ")
}
