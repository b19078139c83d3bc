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

type waitFlags struct {
	connection
	version  string
	revision string
	timeout  time.Duration
}

func newWait(std IO) *cobra.Command {
	var f waitFlags
	c := &cobra.Command{
		Use:   "wait (kustomization NAME... | all)",
		Short: "Wait until Kustomizations are ready, for CI",
		Long: `Wait until Kustomizations are ready at what their sources publish, or at the
version that is asked for. Progress is on stderr; what was reached is on stdout.

Without --version and --revision what the source has published by now counts; a
version that was pushed a moment ago may not be among it. With them, a failure
at another version is not the end: the version that is asked for may mend it.

The exit code is 0 if all are ready, 1 if one has failed, with the reason, 3 if
one is not there, 5 if the time is over, with what is waited for, and 7 if one
is suspended.`,
		Example: `  sluice wait kustomization apiserver -n activity-system --version v1.8.0
  sluice wait all -A --timeout 10m`,
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, std, args) },
	}
	f.register(c, std, true)
	c.Flags().StringVar(&f.version, "version", "", "the tag to arrive at")
	c.Flags().StringVar(&f.revision, "revision", "", "the revision to arrive at: TAG@DIGEST, or the digest alone")
	timeoutFlag(c, &f.timeout)
	c.ValidArgsFunction = f.completeNames(std, -1, func(args []string) (kinds, names, words []string) {
		switch {
		case len(args) == 0:
			return nil, nil, []string{"kustomization", "all"}
		case kindWords[args[0]] == "Kustomization":
			return []string{"Kustomization"}, args[1:], nil
		}
		return nil, nil, nil
	})
	return c
}

// names reads the arguments; none means all.
func (f *waitFlags) names(c *cobra.Command, args []string) ([]string, error) {
	switch {
	case len(args) == 0:
		return nil, usage(c, "wait needs to know what for: kustomization NAME, or all")
	case args[0] == "all" && len(args) > 1:
		return nil, usage(c, fmt.Sprintf("wait all takes no argument %q", args[1]))
	case args[0] == "all":
		return nil, nil
	case kindWords[args[0]] == "Kustomization":
		args = args[1:]
	case !strings.Contains(args[0], "/"):
		return nil, usage(c, fmt.Sprintf("wait does not know %q; want kustomization NAME, or all", args[0]))
	}
	if len(args) == 0 {
		return nil, usage(c, "wait kustomization needs a NAME")
	}
	if f.all {
		return nil, usage(c, "-A goes with wait all: names are those of one namespace")
	}
	var names []string
	for _, arg := range args {
		key, err := f.kustomization(c, arg)
		if err != nil {
			return nil, err
		}
		names = append(names, key.Name)
	}
	return names, nil
}

func (f *waitFlags) run(c *cobra.Command, std IO, args []string) error {
	names, err := f.names(c, args)
	if err != nil {
		return err
	}
	if f.version != "" && f.revision != "" {
		return usage(c, "--version and --revision do not go together")
	}
	ctx, cancel, err := within(c, f.timeout)
	if err != nil {
		return err
	}
	defer cancel()
	kube, err := f.open(std)
	if err != nil {
		return err
	}
	p, seen := newProgress(std), []report.Row{}
	err = report.Watch(ctx, kube, report.Scope{Namespace: f.scope()}, p.tick(), func(s report.Snapshot) (bool, error) {
		if seen, err = f.pick(names, s); err != nil {
			return false, err
		}
		if err := p.show(seen); err != nil {
			return false, err
		}
		return f.done(seen)
	})
	switch {
	case err == nil:
		return f.print(std, seen)
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return f.late(seen)
	}
	return clusterProblem("watching Kustomizations failed", err)
}

// pick finds the rows that are waited for.
func (f *waitFlags) pick(names []string, s report.Snapshot) ([]report.Row, error) {
	rows := report.GraphOf(s, "").Rows() // what waits says for what
	rows = slices.DeleteFunc(rows, func(r report.Row) bool {
		return f.scope() != "" && r.Namespace != f.namespace || r.State == report.Missing || len(names) > 0 && !slices.Contains(names, r.Name)
	})
	for _, name := range names {
		if !slices.ContainsFunc(rows, func(r report.Row) bool { return r.Name == name }) {
			return nil, &Problem{
				Code: NotFound, What: fmt.Sprintf("there is no Kustomization %s/%s", f.namespace, name),
				Do: []string{"sluice get kustomizations -A", "name its namespace with -n"},
			}
		}
	}
	if len(rows) == 0 {
		return nil, &Problem{Code: NotFound, What: "there is no Kustomization " + f.where(), Do: []string{"sluice get kustomizations -A"}}
	}
	return rows, nil
}

// done tells whether all have arrived; what has failed or is held ends a wait.
func (f *waitFlags) done(rows []report.Row) (bool, error) {
	all := true
	for _, r := range rows {
		if f.arrived(r) {
			continue
		}
		all = false
		what := fmt.Sprintf("%s %s/%s", r.Kind, r.Namespace, r.Name)
		switch {
		case r.State == report.Suspended:
			p := outcome(what, r).(*Problem)
			p.What, p.Do = what+" is suspended", []string{resumeCommand(r.Kind, r)}
			if r.SuspendReason != "" {
				p.Why = errors.New(r.SuspendReason)
			}
			return false, p
		case (r.State == report.Failed || r.State == report.Stalled) && f.concerns(r):
			return false, outcome(what, r)
		}
	}
	return all, nil
}

// arrived tells whether a Kustomization is where it should be.
func (f *waitFlags) arrived(r report.Row) bool {
	if r.State != report.Ready {
		return false
	}
	if f.version == "" && f.revision == "" {
		return r.Pending == ""
	}
	return f.matches(r.Revision)
}

func (f *waitFlags) matches(revision string) bool {
	if f.version != "" {
		return revision == f.version || strings.HasPrefix(revision, f.version+"@")
	}
	return revision == f.revision || strings.HasSuffix(revision, "@"+f.revision)
}

// concerns tells whether a failure is one of the version that is asked for.
func (f *waitFlags) concerns(r report.Row) bool {
	if f.version == "" && f.revision == "" {
		return r.Pending == "" || r.Pending == r.Attempted || r.State == report.Stalled
	}
	tried := r.Attempted
	if tried == "" {
		tried = r.Revision
	}
	return f.matches(tried)
}

func (f *waitFlags) print(std IO, rows []report.Row) error {
	var lines []string
	for _, r := range rows {
		lines = append(lines, r.Name+" "+r.Revision)
	}
	return writeLines(std.Out, lines)
}

// late says what is waited for when the time is over.
func (f *waitFlags) late(rows []report.Row) error {
	p := &Problem{Code: TimedOut, Next: "the roll-out goes on without us", Do: []string{"wait longer with --timeout", "sluice graph -n " + f.namespace}}
	var left []string
	for _, r := range rows {
		if !f.arrived(r) {
			left = append(left, f.missing(r))
		}
	}
	p.What = fmt.Sprintf("%d of %s not ready after %s", len(left), count(len(rows), "Kustomization"), f.timeout)
	p.Why = errors.New(some(left))
	return p
}

// missing is what one Kustomization lacks.
func (f *waitFlags) missing(r report.Row) string {
	text := fmt.Sprintf("%s is %s", r.Name, r.State)
	if r.Version != "" {
		text += " at " + r.Version
	}
	if wanted := f.version + f.revision; wanted != "" && r.State == report.Ready {
		has := report.Version(r.Pending)
		if has == "" {
			has = r.Version
		}
		return text + fmt.Sprintf(", not at %s: its source %s has %s", wanted, r.Source, has)
	}
	if r.Note != "" {
		text += " (" + r.Note + ")"
	}
	return text
}
