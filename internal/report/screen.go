package report

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Screen shows frames that change: on a terminal the newest takes the place of
// the one before it.
type Screen struct {
	out   io.Writer
	style Style
	drawn int // lines of the frame on the terminal
	last  string
}

// NewScreen shows on out, which is a terminal.
func NewScreen(out io.Writer, s Style) *Screen { return &Screen{out: out, style: s} }

// Draw replaces the frame, in one write. Lines that do not fit are counted: a
// frame higher than the terminal could not be replaced.
func (s *Screen) Draw(lines []string) error {
	if most := s.style.Height - 1; s.style.Height > 0 && len(lines) > most {
		hidden := len(lines) - most + 1
		lines = append(append([]string{}, lines[:most-1]...), fmt.Sprintf("(%d lines more)", hidden))
	}
	text := strings.Join(lines, "\n")
	if text == s.last && s.drawn > 0 {
		return nil
	}
	var frame strings.Builder
	if s.drawn > 0 {
		fmt.Fprintf(&frame, "\x1b[%dA", s.drawn)
	}
	for _, line := range lines {
		frame.WriteString(s.fit(line) + "\x1b[K\n")
	}
	frame.WriteString("\x1b[J") // what is left of a higher frame
	s.drawn, s.last = len(lines), text
	_, err := io.WriteString(s.out, frame.String())
	return err
}

// fit cuts a line at the edge of the terminal, without counting colours.
func (s *Screen) fit(line string) string {
	if s.style.Width == 0 {
		return line
	}
	var kept strings.Builder
	width, escape := 0, false
	for _, r := range line {
		escape = escape || r == '\x1b'
		if !escape {
			width++
		}
		if escape || width <= s.style.Width {
			kept.WriteRune(r)
		}
		escape = escape && r != 'm'
	}
	return kept.String()
}

// Journal shows what changed, one line each, where frames cannot be replaced.
type Journal struct {
	out     io.Writer
	style   Style
	began   time.Time
	cluster map[string]map[string]Row // by cluster, then by ID
}

// NewJournal counts time from began.
func NewJournal(out io.Writer, s Style, began time.Time) *Journal {
	s.Width = 0
	return &Journal{out: out, style: s, began: began, cluster: map[string]map[string]Row{}}
}

// Note writes a line for every row of a cluster that is new, gone or different
// since it was noted last.
func (j *Journal) Note(now time.Time, cluster string, rows []Row) error {
	before, after := j.cluster[cluster], map[string]Row{}
	var text strings.Builder
	write := func(r Row, what string) {
		line := fmt.Sprintf("%7.1fs  ", now.Sub(j.began).Seconds())
		if cluster != "" {
			line += cluster + "  "
		}
		fmt.Fprintln(&text, j.style.plain(strings.TrimRight(line+r.Label()+"  "+what, " ")))
	}
	for _, r := range rows {
		after[r.ID()] = r
		if old, known := before[r.ID()]; !known || told(old) != told(r) {
			write(r, j.words(r))
		}
	}
	for _, old := range sortedRows(before) {
		if _, still := after[old.ID()]; !still {
			write(old, "gone")
		}
	}
	j.cluster[cluster] = after
	if text.Len() == 0 {
		return nil
	}
	_, err := io.WriteString(j.out, text.String())
	return err
}

func (j *Journal) words(r Row) string {
	line := j.style.paint(j.style.word(r.State), r.State)
	if move := r.Move(); move != "" {
		line += "  " + move
	}
	if r.Note != "" {
		line += "  " + r.Note
	}
	return line
}

// told is what of a row a line tells.
func told(r Row) string { return string(r.State) + "|" + r.Move() + "|" + r.Note }

// Label is the name of an object with its kind, short.
func (r Row) Label() string {
	if s := shortKind[r.Kind]; s != "" {
		return s + "/" + r.Name
	}
	return r.Name
}

func sortedRows(m map[string]Row) []Row {
	var rows []Row
	for _, r := range m {
		rows = append(rows, r)
	}
	sortRows(rows)
	return rows
}
