package deliver

import (
	"context"
	"time"

	"github.com/sluice-dev/sluice/internal/event"
)

// utterance is what was last said to be waited for.
type utterance struct {
	about string // what kind of wait, and for whom
	text  string
	at    time.Time
}

// hush is how long a text about a wait stays before another about the same wait
// takes its place: dependencies go through states that nobody can read so fast.
const hush = 5 * time.Second

// awaits says what is waited for, and looks again when nothing woke it. About is
// what stays the same while the text changes.
func (r *rollout) awaits(ctx context.Context, on event.WaitingOn, about, text string) turn {
	now := time.Now()
	due := now.Add(r.Policy.Recheck)
	about = string(on) + " " + about
	switch {
	case r.said.about == about && r.said.text == text:
		return waitUntil(due)
	case r.said.about == about && now.Before(r.said.at.Add(hush)):
		return waitUntil(soonest(due, r.said.at.Add(hush)))
	}
	err := r.record(ctx, event.Event{Waiting: &event.Waiting{Attempt: *r.attempt(), On: on, Text: text}})
	if err != nil {
		return turn{err: err}
	}
	*r.said = utterance{about: about, text: text, at: now}
	return waitUntil(due)
}
