package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/report"
)

// errTime is why a wait ended.
type errTime struct{ timeout time.Duration }

func (e errTime) Error() string { return fmt.Sprintf("not done within %s", e.timeout) }

// Is makes it what a deadline is elsewhere.
func (e errTime) Is(target error) bool { return target == context.DeadlineExceeded }

// actor carries out verbs on single objects and waits for them.
type actor struct {
	client  client.WithWatch
	std     IO
	timeout time.Duration
}

// read gets an object of ours.
func (a actor) read(ctx context.Context, kind string, key types.NamespacedName) (client.Object, error) {
	obj := report.New(kind)
	if obj == nil {
		return nil, &Problem{Code: Negative, What: fmt.Sprintf("%s %s is of a kind that cannot be asked", kind, key)}
	}
	err := a.client.Get(ctx, key, obj)
	switch {
	case apierrors.IsNotFound(err) && kind == "Kustomization":
		return nil, noKustomization(key, err)
	case apierrors.IsNotFound(err):
		return nil, &Problem{
			Code: NotFound, What: fmt.Sprintf("there is no %s %s", kind, key), Why: err,
			Do: []string{"sluice get sources -A", "name its namespace with -n"},
		}
	case err != nil:
		return nil, clusterProblem(fmt.Sprintf("reading %s %s failed", kind, key), ended(ctx, err))
	}
	return obj, nil
}

// goal is what has to be true of an object before a wait ends well.
type goal struct {
	handled    string // the request that has to be answered
	generation int64  // the spec that has to be looked at
	revision   string // that has to be there
}

// reached tells whether the controller has answered; done, whether the answer
// will not change by itself.
func (g goal) reached(obj client.Object, row report.Row) (done bool) {
	switch {
	case g.handled != "" && handled(obj) != g.handled:
		return false
	case g.generation > 0 && obj.GetGeneration() < g.generation:
		return false // a watch that is behind
	case row.State == report.Ready:
		return g.revision == "" || row.Revision == g.revision || row.Pending == ""
	}
	return row.State == report.Failed || row.State == report.Stalled || row.State == report.Suspended
}

// handled is the request that the controller has answered last.
func handled(obj client.Object) string {
	switch o := obj.(type) {
	case *kustomizev1.Kustomization:
		return o.Status.GetLastHandledReconcileRequest()
	case *sourcev1.OCIRepository:
		return o.Status.GetLastHandledReconcileRequest()
	case *sourcev1.GitRepository:
		return o.Status.GetLastHandledReconcileRequest()
	case *sourcev1.Bucket:
		return o.Status.GetLastHandledReconcileRequest()
	}
	return ""
}

// await watches an object until the goal is reached, and explains how it ended.
func (a actor) await(ctx context.Context, kind string, key types.NamespacedName, g goal) (report.Row, error) {
	var row report.Row
	answered := false
	p := newProgress(a.std)
	scope := report.Scope{Namespace: key.Namespace, Name: key.Name, Kinds: []string{kind}}
	err := report.Watch(ctx, a.client, scope, p.tick(), func(s report.Snapshot) (bool, error) {
		obj := s.Find(kind, key)
		if obj == nil {
			return false, &Problem{Code: NotFound, What: fmt.Sprintf("%s %s was deleted meanwhile", kind, key)}
		}
		row = report.RowOf(kind, obj)
		answered = g.handled == "" || handled(obj) == g.handled
		shown := row
		if !answered {
			shown.State, shown.Note = report.Progressing, "asked; the controller has not answered yet"
		}
		if err := p.show([]report.Row{shown}); err != nil {
			return false, err
		}
		return g.reached(obj, row), nil
	})
	what := fmt.Sprintf("%s %s", kind, key)
	switch {
	case err == nil:
		return row, outcome(what, row)
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return row, late(what, row, answered, a.timeout)
	}
	return row, clusterProblem("watching "+what+" failed", err)
}

// outcome is nil for what ended well.
func outcome(what string, row report.Row) error {
	p := &Problem{Code: Negative, What: what + " failed", Why: errors.New(strings.TrimPrefix(row.Note, row.Reason+": "))}
	if row.Message != "" {
		p.Why = errors.New(row.Message)
	}
	switch row.State {
	case report.Ready:
		return nil
	case report.Suspended:
		p.Code, p.What, p.Why = Conflict, what+" was suspended meanwhile", nil
		p.Next = "nothing, until it is resumed"
	case report.Stalled:
		p.Next = "nothing by itself: only a changed spec helps"
	default:
		p.Next = "the controller tries again by itself; what runs stays as it is"
	}
	p.Do = []string{fmt.Sprintf("sluice events --for %s/%s -n %s", strings.ToLower(row.Kind), row.Name, row.Namespace)}
	return p
}

// late explains a wait that ended without an outcome.
func late(what string, row report.Row, answered bool, timeout time.Duration) error {
	p := &Problem{
		Code: TimedOut, What: fmt.Sprintf("%s is still %s after %s", what, row.State, timeout),
		Next: "it goes on without us", Do: []string{"wait longer with --timeout", "sluice graph -n " + row.Namespace},
	}
	if row.Note != "" {
		p.Why = errors.New(row.Note)
	}
	if !answered {
		p.What = fmt.Sprintf("no controller has looked at %s within %s", what, timeout)
		p.Why = nil
		p.Next = "a controller that starts looks at it at once"
		p.Do = []string{"check that a controller runs that is responsible for it: its shard, its namespace"}
	}
	return p
}

// progress shows on stderr what is waited for.
type progress struct {
	screen  *report.Screen
	journal *report.Journal
	style   report.Style
}

func newProgress(std IO) *progress {
	o := look(std, std.Err)
	p := &progress{style: o.Style}
	if o.Terminal {
		p.screen = report.NewScreen(std.Err, o.Style)
	} else {
		p.journal = report.NewJournal(std.Err, o.Style, time.Now())
	}
	return p
}

// tick redraws ages on a terminal.
func (p *progress) tick() time.Duration {
	if p.screen != nil {
		return time.Second
	}
	return 0
}

func (p *progress) show(rows []report.Row) error {
	if p.screen == nil {
		return p.journal.Note(time.Now(), "", rows)
	}
	l := report.List{Sections: []report.Section{{Rows: rows}}, NoHeader: true}
	return p.screen.Draw(l.Lines(p.style, time.Now()))
}

// article is a kind in a sentence.
func article(kind string) string {
	if strings.HasPrefix(kind, "O") {
		return "an " + kind
	}
	return "a " + kind
}

// subcommands names those of a command.
func subcommands(c *cobra.Command) string {
	var names []string
	for _, sub := range c.Commands() {
		names = append(names, sub.Name())
	}
	return strings.Join(names, " or ")
}
