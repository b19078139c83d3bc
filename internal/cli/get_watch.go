package cli

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/internal/report"
)

// getView shows what `get -w` sees.
type getView struct {
	*getFlags
	std    IO
	wanted wanted
	screen *report.Screen // nil where frames cannot be replaced
	seen   map[string]report.Row
	style  report.Style
	begun  bool // the header is printed
}

func newGetView(f *getFlags, std IO, w wanted) *getView {
	v := &getView{getFlags: f, std: std, wanted: w, seen: map[string]report.Row{}}
	o := look(std, std.Out)
	v.style = o.Style
	if o.Terminal && (f.output == "" || f.output == "wide") {
		v.screen = report.NewScreen(std.Out, o.Style)
	}
	return v
}

// tick redraws ages on a terminal.
func (f *getFlags) tick(std IO) time.Duration {
	if look(std, std.Out).Terminal && f.output != "json" {
		return time.Second
	}
	return 0
}

func (v *getView) see(s report.Snapshot) (bool, error) {
	sections := v.wanted.sections(s)
	if v.screen != nil {
		lines := v.list(sections).Lines(v.style, time.Now())
		if s.Lost != nil {
			lines = append(lines, "", "no answer, this may be old: "+report.Brief(s.Lost.Error()))
		}
		return false, v.screen.Draw(lines)
	}
	return false, v.changes(append(slices.Clone(sections[0].Rows), sections[1].Rows...))
}

// changes prints the rows that are new or different.
func (v *getView) changes(rows []report.Row) error {
	var changed []report.Row
	now := map[string]bool{}
	for _, r := range rows {
		now[r.ID()] = true
		if old, known := v.seen[r.ID()]; !known || old != r {
			changed = append(changed, r)
		}
		v.seen[r.ID()] = r
	}
	for _, id := range slices.Sorted(maps.Keys(v.seen)) {
		if old := v.seen[id]; !now[id] {
			delete(v.seen, id)
			old.State, old.Note = "gone", ""
			changed = append(changed, old)
		}
	}
	switch {
	case len(changed) == 0:
		return nil
	case v.output == "json":
		for _, r := range changed {
			if err := oneLine(v.std.Out, r); err != nil {
				return err
			}
		}
		return nil
	case v.output == "name":
		for _, r := range changed {
			if _, err := fmt.Fprintln(v.std.Out, fullName(r)); err != nil {
				return err
			}
		}
		return nil
	}
	l := v.list([]report.Section{{Title: "NAME", Rows: changed}})
	l.Stamp, l.NoHeader = true, v.noHeader || v.begun
	v.begun = true
	return writeLines(v.std.Out, l.Lines(v.style, time.Now()))
}
