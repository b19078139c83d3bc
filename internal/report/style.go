package report

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Style is how text is laid out.
type Style struct {
	Color bool
	ASCII bool // no glyphs and no lines but those of ASCII
	Width int  // columns of the terminal; lines are cut there unless it is 0
	// Height is how many lines a redrawn frame may have; 0 is any number.
	Height int
}

// looks of the states: never by colour alone.
var looks = map[State]struct {
	glyph string
	color string
}{
	Ready:       {"●", "32"},
	Progressing: {"◐", "36"},
	Waiting:     {"◌", "33"},
	Failed:      {"✖", "31"},
	Stalled:     {"✖", "31"},
	Suspended:   {"‖", "35"},
	Deleting:    {"◐", "36"},
	Missing:     {"?", "31"},
}

// word is a state as it is shown.
func (s Style) word(state State) string {
	if s.ASCII || state == "" {
		return string(state)
	}
	return looks[state].glyph + " " + string(state)
}

func (s Style) paint(text string, state State) string {
	if code := looks[state].color; s.Color && code != "" {
		return "\x1b[" + code + "m" + text + "\x1b[0m"
	}
	return text
}

// plain replaces what ASCII has not.
func (s Style) plain(text string) string {
	if !s.ASCII {
		return text
	}
	return ascii.Replace(text)
}

var ascii = strings.NewReplacer("→", "->", "·", "-", "…", "...", "├─", "|-", "└─", "`-", "│", "|")

// Cell is a piece of a table; State gives it a colour.
type Cell struct {
	Text  string
	State State
}

// Table is rows of cells below a header, which may be empty.
type Table struct {
	Header []string
	Rows   [][]Cell
}

// Lines lays a table out: columns as wide as they have to be, the last one cut
// at the edge of the terminal.
func (t Table) Lines(s Style) []string {
	rows := t.Rows
	if len(t.Header) > 0 {
		var head []Cell
		for _, h := range t.Header {
			head = append(head, Cell{Text: h})
		}
		rows = append([][]Cell{head}, rows...)
	}
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(s.plain(c.Text)))
		}
	}
	var lines []string
	for _, row := range rows {
		lines = append(lines, s.row(row, widths))
	}
	return lines
}

const gap = 2 // between columns

func (s Style) row(cells []Cell, widths []int) string {
	for len(cells) > 0 && cells[len(cells)-1].Text == "" {
		cells = cells[:len(cells)-1]
	}
	var line strings.Builder
	at := 0
	for i, c := range cells {
		text := s.plain(c.Text)
		if s.Width > 0 {
			text = cut(text, s.Width-at)
		}
		line.WriteString(s.paint(text, c.State))
		used := utf8.RuneCountInString(text)
		if i < len(cells)-1 {
			line.WriteString(strings.Repeat(" ", max(widths[i]-used, 0)+gap))
		}
		at += widths[i] + gap
	}
	return strings.TrimRight(line.String(), " ")
}

// cut shortens a text to a number of characters.
func cut(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	if most < 1 {
		return ""
	}
	return string([]rune(text)[:most-1]) + "…"
}

// Age is a time span as tables show it: its two leading units at most.
func Age(d time.Duration) string {
	d = d.Round(time.Second)
	switch {
	case d < 0:
		return "0s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < 10*time.Minute:
		return trimUnit(fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second), "0s")
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 10*time.Hour:
		return trimUnit(fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute), "0m")
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	default:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
}

// trimUnit drops a second unit that is 0: "5m0s" is "5m", "5m10s" stays.
func trimUnit(text, zero string) string {
	short, found := strings.CutSuffix(text, zero)
	if found && strings.HasSuffix(short, "m") || found && strings.HasSuffix(short, "h") {
		return short
	}
	return text
}

func since(now, at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return Age(now.Sub(at))
}
