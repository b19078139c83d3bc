package cli

import (
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/internal/report"
)

func newTree(std IO) *cobra.Command {
	var f connection
	var output format
	c := &cobra.Command{
		Use:   "tree NAME",
		Short: "Show what a Kustomization owns, and how it is",
		Long: `Show the objects in the inventory of a Kustomization with their health, and
likewise those of the Kustomizations among them.`,
		Example: `  sluice tree apps
  sluice tree apiserver -n activity-system -o json`,
		Args: oneArg("NAME of a Kustomization"),
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
			tree, err := report.ReadTree(ctx, kube, name)
			if apierrors.IsNotFound(err) {
				return noKustomization(name, err)
			}
			if err != nil {
				return clusterProblem(fmt.Sprintf("reading the tree of Kustomization %s failed", name), ended(ctx, err))
			}
			if output != asText {
				return printAs(std.Out, string(output), answer{APIVersion: answerVersion, Kind: "Tree", Tree: tree})
			}
			return writeLines(std.Out, tree.Lines(look(std, std.Out).Style))
		},
	}
	f.register(c, std, false)
	output.register(c)
	c.ValidArgsFunction = f.completeNames(std, 1, onlyKustomizations)
	return c
}

// kustomization reads the argument of a verb about one.
func (f *connection) kustomization(c *cobra.Command, arg string) (types.NamespacedName, error) {
	n, ok := parseNamed(arg)
	if !ok || n.kind != "" && n.kind != "Kustomization" {
		return types.NamespacedName{}, usage(c, fmt.Sprintf("%q names no Kustomization; want its name", arg))
	}
	return types.NamespacedName{Namespace: f.namespace, Name: n.name}, nil
}

func noKustomization(name types.NamespacedName, err error) *Problem {
	return &Problem{
		Code: NotFound, What: fmt.Sprintf("there is no Kustomization %s", name), Why: err,
		Do: []string{"sluice get kustomizations -A", "name its namespace with -n"},
	}
}
