package health

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/internal/object"
)

// Line is an object that is not Current.
type Line struct {
	ID      object.ID `json:"id"`
	Verdict Verdict   `json:"verdict"`
}

// Outcome is the health of a set of objects.
type Outcome struct {
	// Done: waiting longer changes nothing. Without Failed all are Current.
	Done bool
	// Failed: at least one object has failed.
	Failed bool
	// Waiting are the objects that are not Current, the failed ones too, in the
	// order of their IDs.
	Waiting []Line
}

// Assess rolls verdicts up. With failFast it is done at the first failed
// object, otherwise when all the others are Current. (fluxcd/pkg/ssa
// manager_wait.go)
func Assess(verdicts map[object.ID]Verdict, failFast bool) Outcome {
	outcome := Outcome{}
	pending := false
	for _, id := range slices.SortedFunc(maps.Keys(verdicts), object.ID.Compare) {
		verdict := verdicts[id]
		if verdict.Status == Current {
			continue
		}
		outcome.Waiting = append(outcome.Waiting, Line{ID: id, Verdict: verdict})
		if verdict.Status == Failed {
			outcome.Failed = true
		} else {
			pending = true
		}
	}
	outcome.Done = !pending || failFast && outcome.Failed
	return outcome
}

// TimedOut is what is said when the timeout comes before all are Current; empty
// if all are.
func (o Outcome) TimedOut() string { return say("timeout waiting for", o.Waiting) }

// Stalled is what is said when waiting ends before the timeout because objects
// have failed; empty if none has.
func (o Outcome) Stalled() string {
	failed := slices.DeleteFunc(slices.Clone(o.Waiting), func(l Line) bool { return l.Verdict.Status != Failed })
	return say("failed early due to stalled resources", failed)
}

// A condition has room for 32 KiB, and its reader for much less.
const (
	mostNamed  = 100
	mostSpoken = 10
)

// say is Flux's text, and after it what each object says of itself.
func say(problem string, lines []Line) string {
	if len(lines) == 0 {
		return ""
	}
	var named, spoken []string
	for _, l := range lines {
		named = append(named, l.named())
		if sentence := l.sentence(); sentence != "" {
			spoken = append(spoken, sentence)
		}
	}
	text := problem + ": [" + strings.Join(few(named, mostNamed), ", ") + "]"
	if len(spoken) == 0 {
		return text
	}
	return text + "; " + strings.Join(few(spoken, mostSpoken), "; ")
}

func few(words []string, most int) []string {
	if len(words) <= most {
		return words
	}
	return append(slices.Clone(words[:most]), fmt.Sprintf("and %d more", len(words)-most))
}

// named is an object and its status as Flux prints them.
func (l Line) named() string {
	switch l.Verdict.Status {
	case "":
		return "can't determine status for " + l.ID.String()
	case Unknown:
		return fmt.Sprintf("%s status: '%s': %s", l.ID, l.Verdict.Status, cmp.Or(oneLine(l.Verdict.Message), "no reason given"))
	default:
		return fmt.Sprintf("%s status: '%s'", l.ID, l.Verdict.Status)
	}
}

// sentence is what an object says of itself. What is not known has been said
// with its name.
func (l Line) sentence() string {
	message := oneLine(l.Verdict.Message)
	if message == "" || l.Verdict.Status == Unknown {
		return ""
	}
	return l.ID.String() + ": " + message
}
