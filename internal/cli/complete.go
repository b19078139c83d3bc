package cli

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"github.com/sluice-dev/sluice/internal/report"
)

// completionPatience bounds what a press of the tab key may take.
const completionPatience = time.Second

type completion = func(c *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective)

// completeNames offers the names of objects of a kind, with their states. kind
// finds it from the arguments so far; most bounds how many names are taken.
func (f *connection) completeNames(std IO, most int, kind func(args []string) (kinds []string, names []string, words []string)) completion {
	return func(c *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		kinds, taken, words := kind(args)
		offers := slices.Clone(words)
		if len(kinds) > 0 && (most < 0 || len(taken) < most) {
			offers = append(offers, f.names(c, std, kinds, taken)...)
		}
		offers = slices.DeleteFunc(offers, func(o string) bool { return !strings.HasPrefix(o, toComplete) })
		return offers, cobra.ShellCompDirectiveNoFileComp
	}
}

func (f *connection) names(c *cobra.Command, std IO, kinds, taken []string) []string {
	ctx, cancel := completing(c)
	defer cancel()
	kube, err := f.open(std)
	if err != nil {
		return nil
	}
	s, err := report.Read(ctx, kube, report.Scope{Namespace: f.scope(), Kinds: kinds})
	if err != nil {
		return nil
	}
	var names []string
	sources, kustomizations := report.Rows(s)
	for _, r := range append(sources, kustomizations...) {
		if !slices.Contains(taken, r.Name) {
			names = append(names, r.Name+"\t"+string(r.State)+" "+r.Version)
		}
	}
	return names
}

// completing: cobra gives completions no context when it is asked very early.
func completing(c *cobra.Command) (context.Context, context.CancelFunc) {
	ctx := c.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	return context.WithTimeout(ctx, completionPatience)
}

// onlyKustomizations is for verbs that take the name of one.
func onlyKustomizations(args []string) (kinds, names, words []string) {
	return []string{"Kustomization"}, args, nil
}

func (f *connection) completeNamespaces(std IO) completion {
	return func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := completing(c)
		defer cancel()
		var names []string
		if kube, err := f.open(std); err == nil {
			var list corev1.NamespaceList
			if kube.List(ctx, &list) == nil {
				for _, n := range list.Items {
					names = append(names, n.Name)
				}
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

func (f *connection) completeContexts(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	raw, err := f.rules().Load()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.Sorted(maps.Keys(raw.Contexts)), cobra.ShellCompDirectiveNoFileComp
}
