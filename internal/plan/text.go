package plan

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/sluice-dev/sluice/internal/diff"
)

// glyphs stand before the steps; what is kept is not listed.
var glyphs = map[Action]string{Create: "+", Update: "~", Replace: "-/+", Delete: "-", Skip: "=", Defer: "..", Refuse: "!"}

const (
	mostChanges = 8  // fields shown of one object
	mostRunes   = 60 // of one value
)

// WriteText writes the plan for a reader: stages with their steps and the fields
// they change, what is pruned, notes, and the counts. No value of a Secret is in
// it.
func (p Plan) WriteText(w io.Writer) error {
	out := text{w: w}
	for _, stage := range p.Stages {
		out.steps(stage.Name, stage.Steps)
	}
	out.steps("prune", p.Prune)
	for _, note := range p.Notes {
		out.line("note: %s", note)
	}
	if p.Held != "" {
		out.line("held: %s", p.Held)
	}
	out.line("%s", p.Summary())
	return out.err
}

// text writes lines until one fails.
type text struct {
	w   io.Writer
	err error
}

func (t *text) line(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.w, format+"\n", args...)
	}
}

func (t *text) steps(title string, steps []Step) {
	titled := false
	for _, step := range steps {
		if step.Action == Keep {
			continue
		}
		if !titled {
			t.line("%s", title)
			titled = true
		}
		t.step(step)
	}
}

func (t *text) step(step Step) {
	name := step.ID.String()
	switch {
	case step.Why == "":
	case strings.HasPrefix(step.Why, name): // errors name the object
		name = step.Why
	default:
		name += ": " + step.Why
	}
	t.line("  %3s %s", glyphs[step.Action], name)
	for i, change := range step.Changes {
		if i == mostChanges {
			t.line("        and %d more", len(step.Changes)-i)
			return
		}
		t.line("        %s", changeText(change))
	}
}

func changeText(c diff.Change) string {
	switch {
	case c.Old == nil:
		return fmt.Sprintf("+ %s: %s", c.Path, short(c.New))
	case c.New == nil:
		return fmt.Sprintf("- %s: %s", c.Path, short(c.Old))
	}
	return fmt.Sprintf("~ %s: %s -> %s", c.Path, short(c.Old), short(c.New))
}

// short is a value on one line, cut where it is long.
func short(value any) string {
	if value == diff.Masked {
		return diff.Masked
	}
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Sprint(value)
	}
	runes := []rune(strings.TrimSpace(b.String()))
	if len(runes) > mostRunes {
		return string(runes[:mostRunes]) + "…"
	}
	return string(runes)
}
