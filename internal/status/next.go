package status

import (
	"time"

	"github.com/sluice-dev/sluice/internal/event"
)

// Schedule is what the time of the next run depends on.
type Schedule struct {
	Interval time.Duration
	// Asked is when the repository was asked, Jitter the share in [-1, 1] that
	// was drawn then; sources that share an answer run again together.
	Asked  time.Time
	Jitter float64
	// Spread is the share of the interval that jitter may move: 0.05.
	Spread float64
	// Backoff is used after a failure that does not know when to try again.
	Backoff time.Duration
}

// Next says when a source runs again after an outcome; false means that only a
// change of the spec can help.
func Next(outcome event.Event, s Schedule) (time.Time, bool) {
	switch failed := outcome.Failed; {
	case failed == nil && s.Interval <= 0:
		return time.Time{}, false // as in Flux: not by the clock
	case failed == nil:
		interval := max(s.Interval, time.Second) // the CRD lets 1ms pass; a registry should not suffer for it
		return s.Asked.Add(interval + time.Duration(float64(interval)*s.Spread*s.Jitter)), true
	case failed.Stalled:
		return time.Time{}, false
	case !failed.RetryAt.IsZero():
		return failed.RetryAt, true
	default:
		return outcome.At.Add(s.Backoff), true
	}
}
