package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/report"
)

type suspendFlags struct {
	connection
	timeout time.Duration
	every   bool
	wait    bool
	reason  string
	suspend bool
}

func newSuspend(std IO) *cobra.Command {
	return group(std, true, &cobra.Command{
		Use:   "suspend",
		Short: "Hold a source or a Kustomization as it is",
		Long: `Hold sources or Kustomizations as they are: nothing new is fetched or applied,
and drift is left alone, until they are resumed. What runs goes on running.`,
	})
}

func newResume(std IO) *cobra.Command {
	return group(std, false, &cobra.Command{
		Use:   "resume",
		Short: "Let a suspended source or Kustomization go on, and wait for what comes of it",
		Long: `Let suspended sources or Kustomizations go on, and wait until each is ready or
has failed. Progress is on stderr; revisions are on stdout.`,
	})
}

func group(std IO, suspend bool, c *cobra.Command) *cobra.Command {
	c.Args = subcommandOnly
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	source := &cobra.Command{
		Use: "source", Short: c.Short, Args: subcommandOnly,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	for _, s := range actSources {
		source.AddCommand(newHold(std, suspend, s.word, s.kind))
	}
	ks := newHold(std, suspend, "kustomization", kustomizev1.KustomizationKind)
	ks.Aliases = []string{"ks"}
	c.AddCommand(source, ks)
	return c
}

func newHold(std IO, suspend bool, word, kind string) *cobra.Command {
	f := suspendFlags{suspend: suspend}
	c := &cobra.Command{
		Use: word + " NAME...", Short: "Resume " + kind + " objects",
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, std, kind, args) },
	}
	f.register(c, std, false)
	c.Flags().BoolVar(&f.every, "all", false, "all of the namespace")
	if suspend {
		c.Short = "Suspend " + kind + " objects"
		c.Flags().StringVar(&f.reason, "reason", "", "why, for those who wonder; kept in the annotation "+report.SuspendReason)
	} else {
		c.Flags().BoolVar(&f.wait, "wait", true, "wait for what comes of it")
		timeoutFlag(c, &f.timeout)
	}
	c.ValidArgsFunction = f.completeNames(std, -1, func(args []string) (kinds, names, words []string) { return []string{kind}, args, nil })
	return c
}

func (f *suspendFlags) run(c *cobra.Command, std IO, kind string, args []string) error {
	switch {
	case len(args) == 0 && !f.every:
		return usage(c, verb(c)+" needs a NAME, or --all")
	case len(args) > 0 && f.every:
		return usage(c, "--all does not go with names")
	}
	ctx, cancel := brief(c)
	if !f.suspend {
		cancel()
		var err error
		if ctx, cancel, err = within(c, f.timeout); err != nil {
			return err
		}
	}
	defer cancel()
	var keys []types.NamespacedName
	for _, arg := range args {
		key, err := f.object(c, kind, arg)
		if err != nil {
			return err
		}
		keys = append(keys, key)
	}
	kube, err := f.open(std)
	if err != nil {
		return err
	}
	a := actor{client: kube, std: std, timeout: f.timeout}
	if f.every {
		if keys, err = f.namesOf(ctx, kube, kind); err != nil {
			return err
		}
		if len(keys) == 0 {
			fmt.Fprintf(std.Err, "there are no %s objects %s\n", kind, f.where())
			return nil
		}
	}
	return f.each(ctx, a, kind, keys)
}

func (f *suspendFlags) namesOf(ctx context.Context, kube client.WithWatch, kind string) ([]types.NamespacedName, error) {
	s, err := report.Read(ctx, kube, report.Scope{Namespace: f.namespace, Kinds: []string{kind}})
	if err != nil {
		return nil, clusterProblem("reading "+kind+" objects failed", ended(ctx, err))
	}
	var keys []types.NamespacedName
	sources, kustomizations := report.Rows(s)
	for _, r := range append(sources, kustomizations...) {
		keys = append(keys, types.NamespacedName{Namespace: r.Namespace, Name: r.Name})
	}
	return keys, nil
}

// each holds or resumes every object. Resumed ones are waited for together:
// they may wait for each other.
func (f *suspendFlags) each(ctx context.Context, a actor, kind string, keys []types.NamespacedName) error {
	errs := make([]error, len(keys))
	rows := make([]report.Row, len(keys))
	goals := make([]goal, len(keys))
	for i, key := range keys {
		if goals[i], errs[i] = f.switchOver(ctx, a, kind, key); errs[i] == nil {
			fmt.Fprintf(a.std.Err, "%s %s is %s\n", kind, key, map[bool]string{true: "suspended", false: "resumed"}[f.suspend])
		}
	}
	if !f.suspend && f.wait {
		var running sync.WaitGroup
		for i, key := range keys {
			if errs[i] == nil {
				running.Go(func() { rows[i], errs[i] = a.await(ctx, kind, key, goals[i]) })
			}
		}
		running.Wait()
		for i, row := range rows {
			if errs[i] == nil {
				fmt.Fprintln(a.std.Out, row.Revision)
			}
		}
	}
	return partly(errs)
}

// switchOver changes spec.suspend, and says what to wait for then.
func (f *suspendFlags) switchOver(ctx context.Context, a actor, kind string, key types.NamespacedName) (goal, error) {
	if _, err := a.read(ctx, kind, key); err != nil {
		return goal{}, err
	}
	var why any // null removes an annotation
	if f.suspend && f.reason != "" {
		why = f.reason
	}
	patch, err := json.Marshal(map[string]any{
		"spec":     map[string]any{"suspend": f.suspend},
		"metadata": map[string]any{"annotations": map[string]any{report.SuspendReason: why}},
	})
	if err != nil {
		return goal{}, err
	}
	obj := report.New(kind)
	obj.SetNamespace(key.Namespace)
	obj.SetName(key.Name)
	if err := a.client.Patch(ctx, obj, client.RawPatch(types.MergePatchType, patch), client.FieldOwner("sluice")); err != nil {
		return goal{}, clusterProblem(fmt.Sprintf("changing %s %s failed", kind, key), ended(ctx, err))
	}
	return goal{generation: obj.GetGeneration()}, nil
}

// partly makes one problem of several.
func partly(errs []error) error {
	var failed []error
	for _, err := range errs {
		if err != nil {
			failed = append(failed, err)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	var first *Problem
	if !errors.As(failed[0], &first) || len(errs) == 1 {
		return failed[0]
	}
	p := *first
	if len(failed) < len(errs) {
		p.Code = Partial
	}
	var more []string
	for _, err := range failed[1:] {
		more = append(more, err.Error())
	}
	if len(more) > 0 {
		p.What = fmt.Sprintf("%s; so did %s", p.What, strings.Join(more, "; "))
	}
	return &p
}
