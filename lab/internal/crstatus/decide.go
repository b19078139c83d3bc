package crstatus

import (
	"encoding/json"
	"time"

	"github.com/sluice-dev/sluice/lab/internal/steer"
)

// stepsFor is the course of an object under a rule and its user's wish.
func stepsFor(rule Rule, wish steer.Wish) []Step {
	last := rule.Steps[len(rule.Steps)-1]
	end := Delay(wish.AfterOr(time.Duration(last.After)))
	var steps []Step
	for _, step := range rule.Steps[:len(rule.Steps)-1] {
		steps = append(steps, Step{After: min(step.After, end), Status: step.Status})
	}
	switch wish.Behavior {
	case steer.Hang:
		return steps // it never gets to its end
	case steer.Fail:
		failure := rule.Fail
		if failure == nil {
			failure = usualFailure()
		}
		return append(steps, Step{After: end, Status: failure})
	}
	return append(steps, Step{After: end, Status: last.Status})
}

// course is how far an object has come.
type course struct {
	generation int64
	key        string // of the rule and the wish
	since      time.Time
	done       int
}

// begin decides where an object's course starts. An object that is new to this
// process, but already has its last status, has been through it before a restart.
func begin(before *course, now course, alreadyThere bool, steps int) *course {
	if before != nil && before.generation >= now.generation && before.key == now.key {
		return before
	}
	if before == nil && alreadyThere {
		now.done = steps
	}
	return &now
}

// facts are what a status may refer to.
type facts struct {
	generation      int64
	name, namespace string
	now             time.Time
}

// render replaces the strings $generation, $now, $name and $namespace.
func render(value any, f facts) any {
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			out[key] = render(item, f)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = render(item, f)
		}
		return out
	case string:
		switch v {
		case "$generation":
			return f.generation
		case "$now":
			return f.now.UTC().Format(time.RFC3339)
		case "$name":
			return f.name
		case "$namespace":
			return f.namespace
		}
	}
	return value
}

// holds says whether applying want would change nothing in live. A time holds if
// there is one. Where a status cannot be written without a new generation, any
// generation holds.
func holds(want, live any, f facts, anyGeneration bool) bool {
	switch w := want.(type) {
	case map[string]any:
		l, ok := live.(map[string]any)
		if !ok {
			return false
		}
		for key, item := range w {
			has, exists := l[key]
			if item == nil && !exists {
				continue
			}
			if !exists || !holds(item, has, f, anyGeneration) {
				return false
			}
		}
		return true
	case []any:
		l, ok := live.([]any)
		if !ok || len(l) != len(w) {
			return false
		}
		for i := range w {
			if !holds(w[i], l[i], f, anyGeneration) {
				return false
			}
		}
		return true
	}
	if want == "$now" {
		return live != nil && live != ""
	}
	if want == "$generation" && anyGeneration {
		return live != nil
	}
	return sameJSON(render(want, f), live)
}

// sameJSON compares scalars of different decoders: 3, int64(3) and 3.0 are one number.
func sameJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}
