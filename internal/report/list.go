package report

import (
	"fmt"
	"slices"
	"time"
)

// List is the answer of `sluice get`: one section per group of kinds.
type List struct {
	Sections      []Section
	AllNamespaces bool
	Wide          bool
	NoHeader      bool
	Stamp         bool // a column with the time comes first
}

// Section is rows below one header.
type Section struct {
	Title string // of the column of names
	Rows  []Row
}

// Lines lays a list out.
func (l List) Lines(s Style, now time.Time) []string {
	var lines []string
	for _, section := range l.Sections {
		if len(section.Rows) == 0 {
			continue
		}
		if len(lines) > 0 {
			lines = append(lines, "")
		}
		t := Table{}
		if !l.NoHeader {
			t.Header = l.header(section.Title)
		}
		for _, r := range section.Rows {
			t.Rows = append(t.Rows, l.cells(r, s, now))
		}
		lines = append(lines, t.Lines(s)...)
	}
	return lines
}

func (l List) header(title string) []string {
	h := []string{title, "VERSION", "STATE", "SINCE"}
	if l.Wide {
		h = append(h, "REVISION", "SOURCE", "PATH", "OBJECTS")
	}
	if l.AllNamespaces {
		h = slices.Insert(h, 0, "NAMESPACE")
	}
	if l.Stamp {
		h = slices.Insert(h, 0, "TIME")
	}
	return append(h, "NOTE")
}

func (l List) cells(r Row, s Style, now time.Time) []Cell {
	age := since(now, r.Since)
	name := r.Name
	if short := shortKind[r.Kind]; short != "" {
		name = short + "/" + name
	}
	c := []Cell{{Text: name}, {Text: r.Move()}, {Text: s.word(r.State), State: r.State}, {Text: age}}
	if l.Wide {
		objects := ""
		if r.Objects > 0 {
			objects = fmt.Sprint(r.Objects)
		}
		c = append(c, Cell{Text: r.Revision}, Cell{Text: r.Source}, Cell{Text: r.Path}, Cell{Text: objects})
	}
	if l.AllNamespaces {
		c = slices.Insert(c, 0, Cell{Text: r.Namespace})
	}
	if l.Stamp {
		c = slices.Insert(c, 0, Cell{Text: now.Format(time.TimeOnly)})
	}
	return append(c, Cell{Text: r.Note})
}

// shortKind stands before the name of a source.
var shortKind = map[string]string{"OCIRepository": "oci", "GitRepository": "git", "Bucket": "bucket", "ExternalArtifact": "external"}
