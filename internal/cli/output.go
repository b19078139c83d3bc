package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

// format is the value of -o.
type format string

const (
	asText format = ""
	asJSON format = "json"
	asYAML format = "yaml"
)

func (f *format) register(c *cobra.Command) {
	c.Flags().StringVarP((*string)(f), "output", "o", "", "print as json or yaml")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"json", "yaml"}, cobra.ShellCompDirectiveNoFileComp))
}

func (f format) check(c *cobra.Command) error {
	switch f {
	case asText, asJSON, asYAML:
		return nil
	}
	return usage(c, fmt.Sprintf("--output %s: want json or yaml", f))
}

// print writes a value, or what text writes if no format was asked for.
func (f format) print(w io.Writer, value any, text func(io.Writer) error) error {
	switch f {
	case asJSON:
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false) // a range like >=1.0.0 stays readable
		encoder.SetIndent("", "  ")
		return encoder.Encode(value)
	case asYAML:
		out, err := yaml.Marshal(value)
		if err != nil {
			return err
		}
		_, err = w.Write(out)
		return err
	default:
		return text(w)
	}
}

// table writes rows in columns.
func table(w io.Writer, header []string, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	return tw.Flush()
}

// count is a number of things: "1 file", "2 files".
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// some names the first few of a list.
func some(list []string) string {
	const most = 5
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}

// size is a number of bytes as people read it.
func size(n int64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%d B", n)
	case n < 10<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	default:
		return fmt.Sprintf("%d MiB", n>>20)
	}
}
