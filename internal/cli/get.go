package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/internal/report"
)

type getFlags struct {
	connection
	output   string
	watch    bool
	noHeader bool
}

func newGet(std IO) *cobra.Command {
	var f getFlags
	c := &cobra.Command{
		Use:   "get [sources|kustomizations|all] [NAME...]",
		Short: "List sources and Kustomizations: versions, states and why",
		Long: `List sources and Kustomizations: which version each has, how it is, and why.

States: ready; progressing; waiting (for a source or a dependency); failed (and
tried again); stalled (only a changed spec helps); suspended; deleting.
VERSION is what is applied, and after an arrow what is on its way.

The exit code is 0 whatever the states are; "sluice wait" asks for them.`,
		Example: `  sluice get
  sluice get kustomizations -A -o wide
  sluice get sources oci -n activity-system
  sluice get all -w
  sluice get kustomizations -A -o json | jq '.items[] | select(.state != "ready")'`,
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, std, args) },
	}
	f.register(c, std, true)
	flags := c.Flags()
	flags.StringVarP(&f.output, "output", "o", "", "print as wide, json, yaml or name")
	flags.BoolVarP(&f.watch, "watch", "w", false, "go on showing what changes, until interrupted")
	flags.BoolVar(&f.noHeader, "no-header", false, "leave the header out")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"wide", "json", "yaml", "name"}, cobra.ShellCompDirectiveNoFileComp))
	c.ValidArgsFunction = f.completeNames(std, -1, func(args []string) (kinds, names, words []string) {
		if len(args) == 0 {
			return nil, nil, []string{"sources", "kustomizations", "all"}
		}
		w, err := parseWanted(c, args)
		if err != nil {
			return nil, nil, nil
		}
		return w.kinds, w.names, nil
	})
	return c
}

// wanted is what the arguments of get ask for.
type wanted struct {
	what  string   // in a sentence
	kinds []string // empty is all
	names []string // empty is all
}

func parseWanted(c *cobra.Command, args []string) (wanted, error) {
	w := wanted{what: "objects"}
	if len(args) == 0 {
		return w, nil
	}
	word := strings.ToLower(args[0])
	switch {
	case word == "all":
		args = args[1:]
	case word == "source" || word == "sources":
		w.what, w.kinds, args = "sources", report.SourceKinds(), args[1:]
		// flux has the kind as a word of its own.
		if len(args) > 0 && kindWords[args[0]] != "" && kindWords[args[0]] != "Kustomization" {
			w.what, w.kinds, args = kindWords[args[0]]+" objects", []string{kindWords[args[0]]}, args[1:]
		} else if len(args) > 0 && args[0] == "all" {
			args = args[1:]
		}
	case kindWords[word] != "":
		w.what, w.kinds, args = kindWords[word]+"s", []string{kindWords[word]}, args[1:]
		if w.what != "Kustomizations" {
			w.what = kindWords[word] + " objects"
		}
	case !strings.Contains(args[0], "/"):
		return w, usage(c, fmt.Sprintf("get does not know %q; want sources, kustomizations or all", args[0]))
	}
	for _, arg := range args {
		n, ok := parseNamed(arg)
		if !ok {
			return w, usage(c, fmt.Sprintf("%q names no object; want NAME or KIND/NAME", arg))
		}
		if n.kind != "" && len(w.kinds) > 0 && !slices.Contains(w.kinds, n.kind) {
			return w, usage(c, fmt.Sprintf("%q is not one of the %s that were asked for", arg, w.what))
		}
		w.names = append(w.names, arg)
	}
	return w, nil
}

// takes tells whether a row is asked for; which says by which name.
func (w wanted) takes(r report.Row) (which string, taken bool) {
	if len(w.names) == 0 {
		return "", true
	}
	for _, name := range w.names {
		n, _ := parseNamed(name)
		if n.name == r.Name && (n.kind == "" || n.kind == r.Kind) {
			return name, true
		}
	}
	return "", false
}

func (f *getFlags) run(c *cobra.Command, std IO, args []string) error {
	if !slices.Contains([]string{"", "wide", "json", "yaml", "name"}, f.output) {
		return usage(c, fmt.Sprintf("--output %s: want wide, json, yaml or name", f.output))
	}
	if f.watch && f.output == "yaml" {
		return usage(c, "--watch goes with -o json, wide or name, not yaml")
	}
	w, err := parseWanted(c, args)
	if err != nil {
		return err
	}
	kube, err := f.open(std)
	if err != nil {
		return err
	}
	scope := report.Scope{Namespace: f.scope(), Kinds: w.read()}
	if f.watch {
		err := report.Watch(c.Context(), kube, scope, f.tick(std), newGetView(f, std, w).see)
		if c.Context().Err() != nil {
			return nil // it was asked to stop
		}
		return clusterProblem("watching "+w.what+" failed", err)
	}
	ctx, cancel := brief(c)
	defer cancel()
	s, err := report.Read(ctx, kube, scope)
	if err != nil {
		return clusterProblem("reading "+w.what+" failed", ended(ctx, err))
	}
	return f.show(std, w, s)
}

// read are the kinds to read: sources say what Kustomizations have not yet.
func (w wanted) read() []string {
	if len(w.kinds) == 1 && w.kinds[0] == "Kustomization" {
		return nil
	}
	return w.kinds
}

// ended puts why a context ended in the place of what that broke.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", context.Cause(ctx), context.DeadlineExceeded)
	}
	return err
}

func (w wanted) sections(s report.Snapshot) []report.Section {
	sources, kustomizations := report.Rows(s)
	keep := func(rows []report.Row) []report.Row {
		return slices.DeleteFunc(rows, func(r report.Row) bool {
			_, taken := w.takes(r)
			return !taken || len(w.kinds) > 0 && !slices.Contains(w.kinds, r.Kind)
		})
	}
	return []report.Section{{Title: "SOURCE", Rows: keep(sources)}, {Title: "KUSTOMIZATION", Rows: keep(kustomizations)}}
}

func (f *getFlags) show(std IO, w wanted, s report.Snapshot) error {
	sections := w.sections(s)
	rows := append(slices.Clone(sections[0].Rows), sections[1].Rows...)
	if err := f.print(std, sections, rows, w); err != nil {
		return err
	}
	missing := slices.DeleteFunc(slices.Clone(w.names), func(name string) bool {
		return slices.ContainsFunc(rows, func(r report.Row) bool {
			_, taken := wanted{names: []string{name}}.takes(r)
			return taken
		})
	})
	if len(missing) > 0 {
		return &Problem{
			Code: NotFound, What: fmt.Sprintf("there is no %s %s", some(missing), f.where()),
			Do: []string{"name its namespace with -n", "sluice get all -A"},
		}
	}
	return nil
}

func (f *getFlags) print(std IO, sections []report.Section, rows []report.Row, w wanted) error {
	switch f.output {
	case "json", "yaml":
		if rows == nil {
			rows = []report.Row{}
		}
		return printAs(std.Out, f.output, answer{APIVersion: answerVersion, Kind: "StatusList", Items: rows})
	case "name":
		var names []string
		for _, r := range rows {
			names = append(names, fullName(r))
		}
		return writeLines(std.Out, names)
	}
	if len(rows) == 0 && len(w.names) == 0 {
		fmt.Fprintf(std.Err, "there are no %s %s\n", w.what, f.where())
		return nil
	}
	o := look(std, std.Out)
	if f.output == "wide" {
		o.Width = 0 // whoever asks for all gets all
	}
	return writeLines(std.Out, f.list(sections).Lines(o.Style, time.Now()))
}

func (f *getFlags) list(sections []report.Section) report.List {
	return report.List{Sections: sections, AllNamespaces: f.all, Wide: f.output == "wide", NoHeader: f.noHeader}
}

// fullName is what kubectl takes too.
func fullName(r report.Row) string {
	group := "source.toolkit.fluxcd.io"
	if r.Kind == "Kustomization" {
		group = "kustomize.toolkit.fluxcd.io"
	}
	return strings.ToLower(r.Kind) + "." + group + "/" + r.Name
}
