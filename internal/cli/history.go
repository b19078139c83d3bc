package cli

import (
	"fmt"
	"io"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sluice-dev/sluice/internal/report"
)

func newHistory(std IO) *cobra.Command {
	var f connection
	var output format
	c := &cobra.Command{
		Use:   "history NAME",
		Short: "Show which versions a Kustomization has been through",
		Long: `Show which versions a Kustomization has been through, the latest first, and how
each went. A * marks what runs now. The status keeps five entries, as Flux's
does: one for each content and outcome.`,
		Example: `  sluice history apiserver -n activity-system`,
		Args:    oneArg("NAME of a Kustomization"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := output.check(c); err != nil {
				return err
			}
			name, err := f.kustomization(c, args[0])
			if err != nil {
				return err
			}
			kube, err := f.open(std)
			if err != nil {
				return err
			}
			ctx, cancel := brief(c)
			defer cancel()
			var ks kustomizev1.Kustomization
			if err := kube.Get(ctx, name, &ks); apierrors.IsNotFound(err) {
				return noKustomization(name, err)
			} else if err != nil {
				return clusterProblem(fmt.Sprintf("reading Kustomization %s failed", name), ended(ctx, err))
			}
			past := report.History(&ks)
			if len(past) == 0 && output == asText {
				fmt.Fprintf(std.Err, "Kustomization %s has no history yet\n", name)
				return nil
			}
			return output.print(std.Out, answer{APIVersion: answerVersion, Kind: "History", Items: past}, func(w io.Writer) error {
				return writeLines(w, report.HistoryLines(past, look(std, w).Style, time.Now()))
			})
		},
	}
	f.register(c, std, false)
	output.register(c)
	c.ValidArgsFunction = f.completeNames(std, 1, onlyKustomizations)
	return c
}
