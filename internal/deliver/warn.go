package deliver

import (
	"context"

	"github.com/sluice-dev/sluice/internal/event"
)

// warnings are what was told about a revision, and need not be told again.
type warnings struct {
	revision string
	told     map[string]bool
}

// warn tells something once for each revision.
func (r *rollout) warn(ctx context.Context, reason, text string) error {
	text = r.mask(text)
	w, key := r.warned, reason+"\x00"+text
	if w.revision != r.wish.revision || w.told == nil {
		*w = warnings{revision: r.wish.revision, told: map[string]bool{}}
	}
	if w.told[key] {
		return nil
	}
	err := r.record(ctx, event.Event{Warned: &event.Warned{Reason: reason, Text: text}})
	if err == nil {
		w.told[key] = true
	}
	return err
}
