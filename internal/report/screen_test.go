package report

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// terminal is what a screen shows: a small part of what real ones understand.
type terminal struct {
	lines []string
	row   int
}

func (t *terminal) Write(p []byte) (int, error) {
	text := string(p)
	for text != "" {
		switch {
		case strings.HasPrefix(text, "\x1b[K"):
			t.at(t.row) // what was there is written over in these tests
			text = text[3:]
		case strings.HasPrefix(text, "\x1b[J"):
			t.lines = t.lines[:min(t.row, len(t.lines))]
			text = text[3:]
		case strings.HasPrefix(text, "\x1b["):
			up, rest, _ := strings.Cut(text[2:], "A")
			n := 0
			for _, d := range up {
				n = 10*n + int(d-'0')
			}
			t.row -= n
			text = rest
		default:
			end := strings.IndexAny(text, "\n\x1b")
			if text[end] == '\n' || end > 0 {
				t.at(t.row)
				if end > 0 {
					t.lines[t.row] = text[:end]
				}
			}
			if text[end] == '\n' {
				t.row++
				end++
			}
			text = text[end:]
		}
	}
	return len(p), nil
}

func (t *terminal) at(row int) {
	for len(t.lines) <= row {
		t.lines = append(t.lines, "")
	}
}

func TestFramesReplaceEachOther(t *testing.T) {
	for name, test := range map[string]struct {
		style  Style
		frames [][]string
		want   []string
	}{
		"same height":  {Style{}, [][]string{{"a", "b"}, {"c", "d"}}, []string{"c", "d"}},
		"growing":      {Style{}, [][]string{{"a"}, {"b", "c"}}, []string{"b", "c"}},
		"shrinking":    {Style{}, [][]string{{"a", "b", "c"}, {"d"}}, []string{"d"}},
		"equal frames": {Style{}, [][]string{{"a"}, {"a"}}, []string{"a"}},
		"too wide":     {Style{Width: 3}, [][]string{{"abcdef"}}, []string{"abc"}},
		"too high":     {Style{Height: 4}, [][]string{{"a", "b", "c", "d", "e"}}, []string{"a", "b", "(3 lines more)"}},
	} {
		var out terminal
		s := NewScreen(&out, test.style)
		for _, f := range test.frames {
			if err := s.Draw(f); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(test.want, out.lines); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestColourIsCutWhole(t *testing.T) {
	s := NewScreen(nil, Style{Width: 2})
	if got, want := s.fit("\x1b[32mgreen\x1b[0m"), "\x1b[32mgr\x1b[0m"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A line for what is new, different or gone, and none for what only got older.
func TestJournalTellsChanges(t *testing.T) {
	var out strings.Builder
	j := NewJournal(&out, Style{}, noon)
	row := func(name string, state State, version string) Row {
		return Row{Kind: "Kustomization", Namespace: "ns", Name: name, State: state, Version: version}
	}
	for i, rows := range [][]Row{
		{row("a", Progressing, "")},
		{row("a", Progressing, ""), row("b", Waiting, "")},
		{row("a", Ready, "v1"), row("b", Waiting, "")},
		{row("a", Ready, "v1"), row("b", Waiting, "")},
		{row("b", Waiting, "")},
	} {
		for n := range rows {
			rows[n].Since = noon.Add(time.Duration(i) * time.Hour)
		}
		if err := j.Note(noon.Add(time.Duration(i)*time.Second), "east", rows); err != nil {
			t.Fatal(err)
		}
	}
	want := `    0.0s  east  a  ◐ progressing
    1.0s  east  b  ◌ waiting
    2.0s  east  a  ● ready  v1
    4.0s  east  a  gone
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestAge(t *testing.T) {
	for in, want := range map[string]string{
		"-1s": "0s", "0s": "0s", "59.4s": "59s", "59.6s": "1m", "60s": "1m", "70s": "1m10s", "5m": "5m", "9m59s": "9m59s", "10m30s": "10m",
		"1h": "1h", "90m": "1h30m", "10h30m": "10h", "47h": "47h", "48h": "2d", "1000h": "41d",
	} {
		d, err := time.ParseDuration(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := Age(d); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestVersion(t *testing.T) {
	sha := strings.Repeat("ab", 32)
	for in, want := range map[string]string{
		"": "", "v1.2.0@sha256:" + sha: "v1.2.0", "sha256:" + sha: "sha256:abababababab", "main@sha1:" + sha[:40]: "main@abababab", "v1": "v1",
	} {
		if got := Version(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
