package report

import (
	"strings"

	"github.com/sluice-dev/sluice/internal/health"
)

// healthLooks are glyph and colour of what kstatus says.
var healthLooks = map[health.Status]State{
	health.Current: Ready, health.InProgress: Progressing, health.Failed: Failed,
	health.Terminating: Deleting, health.NotFound: Missing,
}

// Lines draws a tree.
func (t Tree) Lines(s Style) []string {
	var table Table
	var draw func(t Tree, indent, branch, below string)
	draw = func(t Tree, indent, branch, below string) {
		table.Rows = append(table.Rows, t.cells(s, indent+branch))
		for i, child := range t.Children {
			if i == len(t.Children)-1 {
				draw(child, indent+below, "└─ ", "   ")
			} else {
				draw(child, indent+below, "├─ ", "│  ")
			}
		}
	}
	draw(t, "", "", "")
	return table.Lines(s)
}

func (t Tree) cells(s Style, indent string) []Cell {
	name := Cell{Text: indent + t.String()}
	if t.Row != nil {
		return []Cell{name, {Text: s.word(t.Row.State), State: t.Row.State}, {Text: strings.TrimSpace(t.Row.Move() + "  " + t.Row.Note)}}
	}
	if t.Health == "" {
		return []Cell{name, {Text: "not known"}, {Text: t.Message}}
	}
	state := healthLooks[t.Health]
	word := string(t.Health)
	if !s.ASCII {
		if glyph := looks[state].glyph; glyph != "" {
			word = glyph + " " + word
		}
	}
	message := Brief(t.Message)
	if t.Health == health.Current {
		message = "" // says nothing that Current does not
	}
	return []Cell{name, {Text: word, State: state}, {Text: message}}
}
