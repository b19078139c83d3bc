package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sluice-dev/sluice/internal/deliver"
	"github.com/sluice-dev/sluice/internal/wire"
)

type planFlags struct {
	controllerFlags
	connection connection
	output     string
}

func newPlan(std IO) *cobra.Command {
	var f planFlags
	c := &cobra.Command{
		Use:   "plan NAME",
		Short: "Show what the controller would do next for a Kustomization",
		Long: `Show what the controller would do next for a Kustomization.

The plan is computed by the controller's own code from what the source has
published last, with the identity that the Kustomization is applied with. The
cluster is read, and changes are tried as dry-runs; nothing is changed. Values
of Secrets are not shown.

The exit code is 0 if there is nothing to do or a plan that can be carried out,
and 1 if the plan is held back or the cluster refuses a part of it.`,
		Example: `  sluice plan apiserver -n activity-system
  sluice plan apiserver -n activity-system -o json | jq .plan.stages`,
		Args: oneArg("NAME of a Kustomization"),
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, std, args[0]) },
	}
	flags := c.Flags()
	f.connection.register(c, std, false)
	c.ValidArgsFunction = f.connection.completeNames(std, 1, onlyKustomizations)
	flags.StringVarP(&f.output, "output", "o", "text", "text or json")
	flags.StringArrayVar(&f.Kustomize.Override, "override-manager", nil, "as given to the controller")
	flags.StringSliceVar(&f.Kustomize.StageKinds, "custom-apply-stage-kinds", nil, "as given to the controller")
	flags.StringVar(&f.Kustomize.DefaultServiceAccount, "default-service-account", "", "as given to the controller")
	flags.StringSliceVar(&f.gates, "feature-gates", nil, "as given to the controller")
	f.Kustomize.ConcurrentSSA, f.Kustomize.RequestTimeout, f.Kustomize.Recheck = 8, 30*time.Second, 30*time.Second
	f.Kustomize.Localhost = std.Getenv("SOURCE_CONTROLLER_LOCALHOST")
	return c
}

func (f *planFlags) run(c *cobra.Command, std IO, name string) error {
	if f.output != "text" && f.output != "json" {
		return usage(c, fmt.Sprintf("--output %s: want text or json", f.output))
	}
	f.Kustomize.Gates = wire.DefaultGates
	if err := setGates(&f.Kustomize.Gates, f.gates); err != nil {
		return usage(c, err.Error())
	}
	key, err := f.connection.kustomization(c, name)
	if err != nil {
		return err
	}
	config, err := f.connection.config(std)
	if err != nil {
		return err
	}
	f.Version, f.Log = std.Version, slog.New(slog.DiscardHandler)
	ks, preview, err := wire.Plan(c.Context(), config, f.Options, key)
	switch {
	case apierrors.IsNotFound(err) && ks == nil:
		return noKustomization(key, err)
	case err != nil && ks == nil:
		return clusterProblem(fmt.Sprintf("planning Kustomization %s failed", key), err)
	case err != nil:
		return &Problem{
			Code: Negative, What: fmt.Sprintf("Kustomization %s cannot be rolled out", key), Why: err,
			Next: "the controller tries again at its retry interval, or at once when the source or the spec changes",
		}
	}
	return f.show(std.Out, ks, preview)
}

func (f *planFlags) show(out io.Writer, ks *kustomizev1.Kustomization, preview deliver.Preview) error {
	key := ks.Namespace + "/" + ks.Name
	if f.output == "json" {
		encode := json.NewEncoder(out)
		encode.SetIndent("", "  ")
		if err := encode.Encode(preview); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(out, "Kustomization %s", key)
		if preview.Plan.Revision != "" {
			fmt.Fprintf(out, " at %s", preview.Plan.Revision)
		}
		fmt.Fprintln(out)
		if ks.Spec.Suspend {
			fmt.Fprintln(out, "suspended: nothing of this happens by itself; resume with: sluice resume kustomization "+ks.Name+" -n "+ks.Namespace)
		}
		if preview.Waiting != "" {
			fmt.Fprintf(out, "waiting: %s\n", preview.Waiting)
		}
		if preview.Plan.Revision == "" {
			return nil // nothing is known yet
		}
		if err := preview.Plan.WriteText(out); err != nil {
			return err
		}
		if preview.Checks > 0 {
			fmt.Fprintf(out, "then waits for the health of %d objects\n", preview.Checks)
		}
	}
	switch {
	case preview.Plan.Held != "":
		return &Problem{Code: Negative, What: fmt.Sprintf("the plan of %s is held back", key), Why: errors.New(preview.Plan.Held)}
	case len(preview.Plan.Refused()) > 0:
		return &Problem{
			Code: Negative, What: fmt.Sprintf("the cluster refuses a part of the plan of %s", key),
			Why: preview.Plan.Refused()[0].Err, Next: "nothing is changed until it is mended",
		}
	}
	return nil
}
