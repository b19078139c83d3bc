package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/internal/report"
)

type graphFlags struct {
	connection
	output string
	watch  bool
}

func newGraph(std IO) *cobra.Command {
	var f graphFlags
	c := &cobra.Command{
		Use:   "graph",
		Short: "Show how Kustomizations depend on each other, and what each waits for",
		Long: `Show how Kustomizations depend on each other (spec.dependsOn): state, version,
what each waits for, what holds others up, and cycles. A Kustomization that
needs several is drawn below the last of them.

With -n also what is needed in other namespaces is shown.`,
		Example: `  sluice graph
  sluice graph -A -w
  sluice graph -o dot | dot -Tsvg > graph.svg`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c, std) },
	}
	f.register(c, std, true)
	c.Flags().StringVarP(&f.output, "output", "o", "text", "text, dot or json")
	c.Flags().BoolVarP(&f.watch, "watch", "w", false, "go on showing what changes, until interrupted")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "dot", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func (f *graphFlags) run(c *cobra.Command, std IO) error {
	switch f.output {
	case "text", "json":
	case "dot":
		if f.watch {
			return usage(c, "--watch goes with -o text or json, not dot")
		}
	default:
		return usage(c, fmt.Sprintf("--output %s: want text, dot or json", f.output))
	}
	kube, err := f.open(std)
	if err != nil {
		return err
	}
	scope := report.Scope{Narrow: f.namespace}
	if f.watch {
		v := f.view(std)
		err := report.Watch(c.Context(), kube, scope, v.tick, v.see)
		if c.Context().Err() != nil {
			return nil // it was asked to stop
		}
		return clusterProblem("watching Kustomizations failed", err)
	}
	ctx, cancel := brief(c)
	defer cancel()
	s, err := report.Read(ctx, kube, scope)
	if err != nil {
		return clusterProblem("reading Kustomizations failed", ended(ctx, err))
	}
	g := report.GraphOf(s, f.scope())
	switch f.output {
	case "json":
		return printAs(std.Out, "json", answer{APIVersion: answerVersion, Kind: "Graph", Spec: g})
	case "dot":
		_, err := fmt.Fprint(std.Out, g.Dot())
		return err
	}
	if len(g.Nodes) == 0 {
		fmt.Fprintf(std.Err, "there are no Kustomizations %s\n", f.where())
		return nil
	}
	return writeLines(std.Out, g.Lines(look(std, std.Out).Style, time.Now()))
}

// graphView shows what `graph -w` sees.
type graphView struct {
	see  func(report.Snapshot) (bool, error)
	tick time.Duration
}

func (f *graphFlags) view(std IO) graphView {
	o := look(std, std.Out)
	switch {
	case f.output == "json":
		return graphView{see: func(s report.Snapshot) (bool, error) {
			return false, oneLine(std.Out, answer{APIVersion: answerVersion, Kind: "Graph", Spec: report.GraphOf(s, f.scope())})
		}}
	case o.Terminal:
		screen := report.NewScreen(std.Out, o.Style)
		o.Namespace = f.scope()
		return graphView{tick: time.Second, see: func(s report.Snapshot) (bool, error) {
			return false, screen.Draw(report.ClusterLines("", s, o, time.Now()))
		}}
	default:
		journal := report.NewJournal(std.Out, o.Style, time.Now())
		return graphView{see: func(s report.Snapshot) (bool, error) {
			return false, journal.Note(time.Now(), "", report.GraphOf(s, f.scope()).Rows())
		}}
	}
}
