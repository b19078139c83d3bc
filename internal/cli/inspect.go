package cli

import (
	"context"
	"fmt"
	"io"
	"path"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/internal/archive"
	"github.com/sluice-dev/sluice/internal/artifact"
	"github.com/sluice-dev/sluice/internal/build"
)

// inspection is what `sluice inspect` says of a bundle.
type inspection struct {
	Reference   string            `json:"reference"`
	Digest      string            `json:"digest"`
	Source      string            `json:"source,omitempty"`
	Revision    string            `json:"revision,omitempty"`
	Created     string            `json:"created,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Layer       string            `json:"layer"`
	MediaType   string            `json:"mediaType"`
	Size        int64             `json:"size"`
	Unpacked    int64             `json:"unpacked"`
	// Entries are the directories with a kustomization file: what the path of
	// a Kustomization can name.
	Entries []string `json:"entries"`
	Files   []string `json:"files"`
}

func newInspect(std IO) *cobra.Command {
	var f registryFlags
	var output format
	c := &cobra.Command{
		Use:     "inspect oci://REGISTRY/REPO[:TAG|@DIGEST]",
		Short:   "Show what a bundle is and holds",
		Example: "  sluice inspect oci://ghcr.io/org/app-kustomize:v1.2.3",
		Args:    oneArg("oci://REGISTRY/REPO[:TAG|@DIGEST]"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := output.check(c); err != nil {
				return err
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
			b, err := fetch(ctx, client, ref, f)
			if err != nil {
				return err
			}
			found := b.inspect(ref)
			return output.print(std.Out, found, found.print)
		},
	}
	output.register(c)
	f.register(c)
	return c
}

func (b bundle) inspect(ref artifact.Reference) inspection {
	return inspection{
		Reference: ref.String(), Digest: b.manifest.Digest.String(),
		Source:      b.manifest.Annotations[ocispec.AnnotationSource],
		Revision:    b.manifest.Annotations[ocispec.AnnotationRevision],
		Created:     b.manifest.Annotations[ocispec.AnnotationCreated],
		Annotations: b.manifest.Annotations,
		Layer:       b.layer.Digest.String(), MediaType: b.layer.MediaType, Size: b.layer.Size,
		Unpacked: b.tree.Bytes(), Files: append([]string{}, b.tree.Files()...), Entries: entries(b.tree),
	}
}

// entries are the directories that have a kustomization file.
func entries(tree *archive.Tree) []string {
	dirs := []string{}
	for _, file := range tree.Files() {
		dir := path.Dir(file)
		if found, err := build.KustomizationFile(tree, dir); err == nil && found == file {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

func (i inspection) print(w io.Writer) error {
	lines := [][2]string{
		{"reference", i.Reference}, {"digest", i.Digest}, {"source", i.Source}, {"revision", i.Revision}, {"created", i.Created},
		{"layer", fmt.Sprintf("%s (%s, %s)", i.Layer, i.MediaType, size(i.Size))},
		{"content", fmt.Sprintf("%s, %s", count(len(i.Files), "file"), size(i.Unpacked))},
		{"entries", strings.Join(i.Entries, ", ")},
	}
	for _, line := range lines {
		if line[1] == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "%-10s %s\n", line[0], line[1]); err != nil {
			return err
		}
	}
	for _, file := range i.Files {
		if _, err := fmt.Fprintln(w, "  "+file); err != nil {
			return err
		}
	}
	return nil
}
