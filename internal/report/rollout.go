package report

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Named is a cluster with the name that its users gave it.
type Named struct {
	Name   string
	Client client.WithWatch
}

// Options of a view. The zero value writes a line for each change.
type Options struct {
	Style
	// Terminal: frames are replaced instead.
	Terminal bool
	// Namespace limits the view; empty is all.
	Namespace string
}

// Rollout watches the Kustomizations of some clusters and shows their graph,
// their versions and what each waits for, until in every cluster there is at
// least one and all have arrived at what their sources publish. If the context
// ends first, the error says what is not ready.
func Rollout(ctx context.Context, out io.Writer, clusters []Named, o Options) error {
	v := newView(out, clusters, o)
	inner, stop := context.WithCancel(ctx)
	defer stop()
	var running sync.WaitGroup
	failed := make([]error, len(clusters))
	for i, c := range clusters {
		running.Go(func() {
			failed[i] = Watch(inner, c.Client, Scope{Namespace: o.Namespace}, time.Second, func(s Snapshot) (bool, error) {
				all, err := v.see(i, s)
				if all || err != nil {
					stop()
				}
				return all, err
			})
			if failed[i] != nil && !errors.Is(failed[i], context.Canceled) {
				stop()
			}
		})
	}
	running.Wait()
	if v.arrived() {
		return nil
	}
	for i, err := range failed {
		if err != nil && inner.Err() != nil && ctx.Err() == nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("watching %s: %w", clusters[i].Name, err)
		}
	}
	return fmt.Errorf("%w: %s", context.Cause(ctx), v.left())
}

// view is what is known of all clusters.
type view struct {
	Options
	clusters []Named
	began    time.Time
	screen   *Screen
	journal  *Journal
	mu       sync.Mutex
	seen     []Snapshot
	known    []bool
}

func newView(out io.Writer, clusters []Named, o Options) *view {
	v := &view{Options: o, clusters: clusters, began: time.Now(), seen: make([]Snapshot, len(clusters)), known: make([]bool, len(clusters))}
	if o.Terminal {
		v.screen = NewScreen(out, o.Style)
	} else {
		v.journal = NewJournal(out, o.Style, v.began)
	}
	return v
}

// see takes in what a cluster holds now, and tells whether all have arrived.
func (v *view) see(cluster int, s Snapshot) (bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.seen[cluster], v.known[cluster] = s, true
	var err error
	if v.screen != nil {
		err = v.screen.Draw(v.lines(time.Now()))
	} else {
		err = v.journal.Note(time.Now(), v.clusters[cluster].Name, GraphOf(s, v.Namespace).Rows())
	}
	return v.all(), err
}

func (v *view) lines(now time.Time) []string {
	var lines []string
	for i, c := range v.clusters {
		if i > 0 {
			lines = append(lines, "")
		}
		lines = append(lines, ClusterLines(c.Name, v.seen[i], v.Options, now)...)
	}
	return append(lines, "", Age(now.Sub(v.began)))
}

// ClusterLines is the part of a roll-out that is about one cluster.
func ClusterLines(name string, s Snapshot, o Options, now time.Time) []string {
	title := name
	if s.Lost != nil {
		title += ": no answer, what follows may be old: " + Brief(s.Lost.Error())
	}
	g := GraphOf(s, o.Namespace)
	if len(g.Nodes) == 0 {
		return []string{title, "no Kustomizations yet"}
	}
	lines := g.Lines(o.Style, now)
	if title == "" {
		return lines
	}
	return append([]string{title}, lines...)
}

func (v *view) arrived() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.all()
}

func (v *view) all() bool {
	for i, s := range v.seen {
		if !v.known[i] || len(s.Kustomizations) == 0 || len(unsettled(s)) > 0 {
			return false
		}
	}
	return true
}

// unsettled are the Kustomizations that are not where their sources are. Those
// that are suspended are left alone.
func unsettled(s Snapshot) []Row {
	_, rows := Rows(s)
	var list []Row
	for _, r := range rows {
		if !Settled(r) {
			list = append(list, r)
		}
	}
	return list
}

// Settled tells whether nothing is to be expected of a Kustomization by itself:
// it is Ready at what its source publishes, or suspended.
func Settled(r Row) bool {
	return r.State == Suspended || r.State == Ready && r.Pending == ""
}

// left names what has not arrived.
func (v *view) left() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var parts []string
	for i, s := range v.seen {
		var names []string
		for _, r := range unsettled(s) {
			names = append(names, strings.TrimSpace(fmt.Sprintf("%s is %s %s", r.Name, r.State, parenthesis(r.Note))))
		}
		switch {
		case len(s.Kustomizations) == 0:
			parts = append(parts, v.clusters[i].Name+" has no "+kustomizev1.KustomizationKind)
		case len(names) > 0:
			parts = append(parts, "in "+v.clusters[i].Name+" "+few(names))
		}
	}
	return strings.Join(parts, "; ")
}

func parenthesis(text string) string {
	if text == "" {
		return ""
	}
	return "(" + text + ")"
}
