package status

import (
	"cmp"
	"slices"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// conditions is a set of conditions while it is being folded.
type conditions struct {
	list       []metav1.Condition
	before     []metav1.Condition // as the fold found them
	generation int64
	now        time.Time
}

// set follows fluxcd/pkg/runtime/conditions Set: a transition is a change of
// status, reason or message. What a condition was in the middle of a fold
// nobody has seen: it counts against what it was before.
func (c *conditions) set(kind string, value metav1.ConditionStatus, reason, message string) {
	next := metav1.Condition{
		Type: kind, Status: value, Reason: reason, Message: trim(message), ObservedGeneration: c.generation,
		LastTransitionTime: metav1.NewTime(c.now.UTC().Truncate(time.Second)),
	}
	for _, old := range c.before {
		if old.Type == kind && old.Status == next.Status && old.Reason == next.Reason && old.Message == next.Message {
			next.LastTransitionTime = old.LastTransitionTime
		}
	}
	for i, old := range c.list {
		if old.Type == kind {
			c.list[i] = next
			return
		}
	}
	c.list = append(c.list, next)
}

func (c *conditions) remove(kinds ...string) {
	c.list = slices.DeleteFunc(c.list, func(x metav1.Condition) bool { return slices.Contains(kinds, x.Type) })
}

func (c *conditions) get(kind string) metav1.Condition {
	for _, x := range c.list {
		if x.Type == kind {
			return x
		}
	}
	return metav1.Condition{}
}

func (c *conditions) isTrue(kind string) bool { return c.get(kind).Status == metav1.ConditionTrue }

// weights puts what people look for first (fluxcd/pkg/runtime/conditions
// lexicographicLess).
var weights = map[string]int{meta.StalledCondition: -3, meta.ReconcilingCondition: -2, meta.ReadyCondition: -1}

func (c *conditions) sorted() []metav1.Condition {
	slices.SortStableFunc(c.list, func(a, b metav1.Condition) int {
		return cmp.Or(
			cmp.Compare(weights[a.Type], weights[b.Type]),
			cmp.Compare(b.ObservedGeneration, a.ObservedGeneration),
			cmp.Compare(a.Type, b.Type),
		)
	})
	return c.list
}

// maxMessage is what the API server accepts of a condition's message.
const maxMessage = 32768

func trim(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	return message[:maxMessage-3] + "..."
}
