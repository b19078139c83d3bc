package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/internal/report"
)

// look finds out how text may look where it is written to. NO_COLOR,
// CLICOLOR_FORCE and TERM=dumb are obeyed, and a locale that says it is plain.
func look(std IO, w io.Writer) report.Options {
	o := report.Options{}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) && std.Getenv("TERM") != "dumb" {
		o.Terminal, o.Color = true, true
		if width, height, err := term.GetSize(int(f.Fd())); err == nil {
			o.Width, o.Height = width, height
		}
	}
	if force := std.Getenv("CLICOLOR_FORCE"); force != "" && force != "0" {
		o.Color = true
	}
	if std.Getenv("NO_COLOR") != "" {
		o.Color = false
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale := std.Getenv(name); locale != "" {
			o.ASCII = !strings.Contains(strings.ToUpper(locale), "UTF-8") && !strings.Contains(strings.ToUpper(locale), "UTF8")
			break
		}
	}
	return o
}

func writeLines(w io.Writer, lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}

// answer is the form of what verbs print for programs.
type answer struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Items      any    `json:"items,omitempty"`
	Spec       any    `json:"graph,omitempty"`
	Tree       any    `json:"tree,omitempty"`
}

// answerVersion changes when a field of an answer changes its meaning.
const answerVersion = "cli.sluice.dev/v1"

// oneLine writes a value as JSON on one line, for those who follow a stream.
func oneLine(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// printAs writes a value as json or yaml.
func printAs(w io.Writer, form string, value any) error {
	if form == "yaml" {
		out, err := yaml.Marshal(value)
		if err == nil {
			_, err = w.Write(out)
		}
		return err
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
