package deliver

import (
	"context"
	"errors"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/plan"
)

// turn is what came of a step: nothing means go on.
type turn struct {
	wait     bool
	until    time.Time     // of a wait: when to look again if nothing wakes it
	restart  bool          // from the first step
	failed   *event.Failed // the roll-out ends, and is tried again after the retry interval
	passing  bool          // of a failure: nobody has to mend it, it is tried again soon
	soon     bool          // of a failure: an event may mend it that nobody tells us of
	unserved bool          // of a failure: a kind is missing, whose definition wakes us
	err      error         // of the journal
}

var onward = turn{}

// stops tells whether a step is not done.
func (t turn) stops() bool { return t.wait || t.restart || t.failed != nil || t.err != nil }

func waitUntil(t time.Time) turn { return turn{wait: true, until: t} }

func failing(step event.Step, text string) turn {
	return turn{failed: &event.Failed{Step: step, Text: text}}
}

func stalled(step event.Step, text string) turn {
	return turn{failed: &event.Failed{Step: step, Text: text, Stalled: true}}
}

// transient is a failure that nobody has to mend.
func transient(step event.Step, err error) turn {
	t := failing(step, err.Error())
	t.passing = true
	return t
}

// isTransient tells answers of a server that it may not repeat, and no answer
// at all, from refusals.
func isTransient(err error) bool {
	unserved, refused := (*plan.UnservedError)(nil), (*plan.RefusedError)(nil)
	reason := apierrors.ReasonForError(err)
	switch {
	case errors.As(err, &unserved), errors.As(err, &refused) && reason == "":
		return false
	case errors.Is(err, context.DeadlineExceeded), reason == "":
		return true
	}
	return apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) ||
		apierrors.IsServiceUnavailable(err) || apierrors.IsConflict(err) || isServerError(err)
}

// isServerError is a 5xx that is no answer to what was asked. Admission
// webhooks that cannot be reached are among these.
func isServerError(err error) bool {
	return apierrors.IsInternalError(err) && !strings.Contains(err.Error(), "field not declared in schema")
}
