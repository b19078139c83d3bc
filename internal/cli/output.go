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
	var out []byte
	var err error
	switch f {
	case asJSON:
		if out, err = json.MarshalIndent(value, "", "  "); err == nil {
			out = append(out, '\n')
		}
	case asYAML:
		out, err = yaml.Marshal(value)
	default:
		return text(w)
	}
	if err != nil {
		return err
	}
	_, err = w.Write(out)
	return err
}

// table writes rows in columns.
func table(w io.Writer, header []string, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	return tw.Flush()
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
