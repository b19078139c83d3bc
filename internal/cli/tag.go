package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/internal/artifact"
)

func newTag(std IO) *cobra.Command {
	c := tagCommand(std, "tag")
	c.AddCommand(tagCommand(std, "artifact"))
	return c
}

func tagCommand(std IO, name string) *cobra.Command {
	var f registryFlags
	var tags []string
	c := &cobra.Command{
		Use:     name + " oci://REGISTRY/REPO[:TAG|@DIGEST] --tag TAG",
		Short:   "Point more tags to a published bundle",
		Example: "  sluice tag oci://ghcr.io/org/app-kustomize:v1.2.3-rc.1 --tag v1.2.3 --tag latest",
		Args:    oneArg("oci://REGISTRY/REPO[:TAG|@DIGEST]"),
		RunE: func(c *cobra.Command, args []string) error {
			if len(tags) == 0 {
				return usage(c, "--tag is required")
			}
			for _, tag := range tags {
				if err := artifact.CheckTag(tag); err != nil {
					return usage(c, "--tag: "+err.Error())
				}
			}
			ref, err := reference(c, args[0])
			if err != nil {
				return err
			}
			client, err := f.open(c, std, ref.Repository)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), f.timeout)
			defer cancel()
			dgst, err := client.Tag(ctx, pinned(ref), tags)
			if err != nil {
				return registryProblem(fmt.Sprintf("tagging %s failed", ref), err).afterTags(tags)
			}
			fmt.Fprintf(std.Err, "tagged as %s\n", strings.Join(tags, ", "))
			_, err = fmt.Fprintln(std.Out, artifact.Reference{Repository: ref.Repository, Digest: dgst})
			return err
		},
	}
	c.Flags().StringArrayVar(&tags, "tag", nil, "tag to write; may be repeated (required)")
	f.register(c)
	return c
}
