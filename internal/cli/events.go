package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/object"
	"github.com/sluice-dev/sluice/internal/report"
)

type eventsFlags struct {
	connection
	about    string
	watch    bool
	warnings bool
	output   format
}

func newEvents(std IO) *cobra.Command {
	var f eventsFlags
	c := &cobra.Command{
		Use:   "events",
		Short: "Show what happened to sources and Kustomizations",
		Long: `Show the Kubernetes Events of sources and Kustomizations, the oldest first. The
API server keeps them for an hour.

With --for kustomization/NAME those of its source and of the objects that it
owns are among them.`,
		Example: `  sluice events
  sluice events --for kustomization/apiserver -n activity-system -w
  sluice events -A --warnings -o json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c, std) },
	}
	f.register(c, std, true)
	flags := c.Flags()
	flags.StringVar(&f.about, "for", "", "only what is about this object, as KIND/NAME")
	flags.BoolVarP(&f.watch, "watch", "w", false, "go on showing what happens, until interrupted")
	flags.BoolVar(&f.warnings, "warnings", false, "only warnings")
	f.output.register(c)
	_ = c.RegisterFlagCompletionFunc("for", f.completeFor(std))
	return c
}

func (f *eventsFlags) run(c *cobra.Command, std IO) error {
	if err := f.output.check(c); err != nil {
		return err
	}
	if f.watch && f.output == asYAML {
		return usage(c, "--watch goes with -o json, not yaml")
	}
	if f.about != "" && f.all {
		return usage(c, "--for names an object of one namespace; -A does not go with it")
	}
	kube, err := f.open(std)
	if err != nil {
		return err
	}
	ctx, cancel := brief(c)
	defer cancel()
	about := report.About{Warning: f.warnings}
	namespace := f.scope()
	if f.about != "" {
		if about.Objects, err = f.objects(ctx, c, kube); err != nil {
			return err
		}
		namespace = reach(about.Objects, f.namespace)
	}
	list, version, err := report.Events(ctx, kube, namespace, about)
	if err != nil {
		return clusterProblem("reading events failed", ended(ctx, err))
	}
	if err := f.show(std, list); err != nil || !f.watch {
		return err
	}
	style := look(std, std.Out).Style
	err = report.WatchEvents(c.Context(), kube, namespace, version, about, func(h report.Happened) error {
		if f.output == asJSON {
			return oneLine(std.Out, h)
		}
		_, err := fmt.Fprintln(std.Out, h.Line(f.all, style))
		return err
	})
	if c.Context().Err() != nil {
		return nil // it was asked to stop
	}
	return clusterProblem("watching events failed", err)
}

func (f *eventsFlags) show(std IO, list []report.Happened) error {
	style := look(std, std.Out).Style
	switch {
	case f.watch && f.output == asJSON:
		for _, h := range list {
			if err := oneLine(std.Out, h); err != nil {
				return err
			}
		}
		return nil
	case f.watch:
		for _, h := range list {
			if _, err := fmt.Fprintln(std.Out, h.Line(f.all, style)); err != nil {
				return err
			}
		}
		return nil
	case len(list) == 0 && f.output == asText:
		fmt.Fprintf(std.Err, "there are no events %s\n", f.where())
		return nil
	}
	return f.output.print(std.Out, answer{APIVersion: answerVersion, Kind: "EventList", Items: list}, func(w io.Writer) error {
		return writeLines(w, report.EventLines(list, f.all, true, style, time.Now()))
	})
}

// objects finds what --for is about.
func (f *eventsFlags) objects(ctx context.Context, c *cobra.Command, kube client.Client) (map[object.ID]bool, error) {
	n, ok := parseNamed(f.about)
	if !ok || n.kind == "" {
		return nil, usage(c, fmt.Sprintf("--for %s: want KIND/NAME, for example kustomization/apiserver", f.about))
	}
	name := types.NamespacedName{Namespace: f.namespace, Name: n.name}
	if n.kind != kustomizev1.KustomizationKind {
		return map[object.ID]bool{{Kind: n.kind, Namespace: f.namespace, Name: n.name}: true}, nil
	}
	var ks kustomizev1.Kustomization
	err := kube.Get(ctx, name, &ks)
	switch {
	case apierrors.IsNotFound(err):
		return nil, noKustomization(name, err)
	case err != nil:
		return nil, clusterProblem(fmt.Sprintf("reading Kustomization %s failed", name), ended(ctx, err))
	}
	return report.Around(&ks)
}

// reach is the namespace that has all objects, or empty if there are several.
// Events about objects without a namespace are in "default".
func reach(objects map[object.ID]bool, namespace string) string {
	for id := range objects {
		if id.Namespace != namespace {
			return ""
		}
	}
	return namespace
}

func (f *eventsFlags) completeFor(std IO) completion {
	return func(c *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		var offers []string
		for _, kind := range []string{"kustomization", "oci", "git"} {
			for _, name := range f.names(c, std, []string{kindWords[kind]}, nil) {
				offers = append(offers, kind+"/"+name)
			}
		}
		return offers, cobra.ShellCompDirectiveNoFileComp
	}
}
