package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/internal/archive"
	"github.com/sluice-dev/sluice/internal/artifact"
	"github.com/sluice-dev/sluice/internal/source/oci"
)

func newPull(std IO) *cobra.Command {
	c := pullCommand(std, "pull")
	c.AddCommand(pullCommand(std, "artifact"))
	return c
}

func pullCommand(std IO, name string) *cobra.Command {
	var f registryFlags
	var dir string
	c := &cobra.Command{
		Use:     name + " oci://REGISTRY/REPO[:TAG|@DIGEST] --output DIR",
		Short:   "Write the content of a bundle into a directory",
		Example: "  sluice pull oci://ghcr.io/org/app-kustomize:v1.2.3 --output ./bundle",
		Args:    oneArg("oci://REGISTRY/REPO[:TAG|@DIGEST]"),
		RunE: func(c *cobra.Command, args []string) error {
			if dir == "" {
				return usage(c, "--output is required: the directory to write to")
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
			if err := writeTree(dir, b.tree); err != nil {
				return &Problem{Code: codeOf(err), What: "writing to " + dir + " failed", Why: err, Next: "nothing: what has been written stays", Do: []string{"choose another directory with --output"}}
			}
			fmt.Fprintf(std.Err, "%s written to %s\n", count(len(b.tree.Files()), "file"), dir)
			return b.print(std.Out, ref.Repository)
		},
	}
	c.Flags().StringVarP(&dir, "output", "o", "", "directory to write to; what is there already is kept or overwritten, never deleted")
	f.register(c)
	return c
}

// bundle is a pulled artifact.
type bundle struct {
	manifest artifact.Manifest
	layer    ocispec.Descriptor
	tree     *archive.Tree
}

// print says what was pulled.
func (b bundle) print(w io.Writer, repo artifact.Repository) error {
	for _, line := range [][2]string{
		{"source", b.manifest.Annotations[ocispec.AnnotationSource]},
		{"revision", b.manifest.Annotations[ocispec.AnnotationRevision]},
		{"digest", artifact.Reference{Repository: repo, Digest: b.manifest.Digest}.String()},
	} {
		if line[1] == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "%s %s\n", line[0], line[1]); err != nil {
			return err
		}
	}
	return nil
}

// fetch reads manifest and content of a reference and verifies both.
func fetch(ctx context.Context, client *oci.Client, ref artifact.Reference, f registryFlags) (bundle, error) {
	var b bundle
	failed := func(err error) (bundle, error) {
		return b, registryProblem(fmt.Sprintf("reading %s failed", ref), err)
	}
	dgst := ref.Digest
	if dgst == "" {
		seen, err := client.Resolve(ctx, pinned(ref), f.ask())
		if err != nil {
			return failed(err)
		}
		dgst = seen.Value
	}
	var err error
	if b.manifest, err = client.Manifest(ctx, dgst, f.ask()); err != nil {
		return failed(err)
	}
	if b.layer, err = b.manifest.Select(""); err != nil {
		return failed(err)
	}
	body, err := client.Layer(ctx, b.layer, f.timeout)
	if err != nil {
		return failed(err)
	}
	defer body.Close()
	verified := b.layer.Digest.Verifier()
	var unread error
	b.tree, unread = archive.Read(io.TeeReader(body, verified), archive.DefaultLimits)
	if f := (*oci.Failure)(nil); errors.As(unread, &f) {
		return failed(unread)
	}
	// What follows the archive, or what is wrong with it, counts too: whether
	// these are the right bytes comes before whether they make sense.
	if _, err := io.Copy(verified, io.LimitReader(body, b.layer.Size)); err != nil {
		return failed(err)
	}
	if !verified.Verified() {
		return b, &Problem{
			Code: Unverified, What: fmt.Sprintf("reading %s failed", ref),
			Why: fmt.Errorf("the layer does not have the digest %s that the manifest names", short(b.layer.Digest)),
			Do:  []string{"do not use it: somebody or something changed the content; push it again"},
		}
	}
	if unread != nil {
		return b, &Problem{
			Code: Negative, What: fmt.Sprintf("reading %s failed", ref),
			Why: fmt.Errorf("its layer (%s) cannot be unpacked: %w", b.layer.MediaType, unread),
			Do:  []string{"look who published it, and with what"},
		}
	}
	return b, nil
}

func short(d digest.Digest) string {
	text := d.String()
	if len(text) > 19 {
		return text[:19]
	}
	return text
}

// writeTree writes files below a directory; nothing can leave it.
func writeTree(dir string, tree *archive.Tree) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, name := range tree.Files() {
		data, err := tree.ReadFile(name)
		if err != nil {
			return err
		}
		info, err := tree.Stat(name)
		if err != nil {
			return err
		}
		if parent := filepath.Dir(filepath.FromSlash(name)); parent != "." {
			if err := root.MkdirAll(parent, 0o755); err != nil {
				return err
			}
		}
		f, err := root.OpenFile(filepath.FromSlash(name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, info.Mode().Perm()|0o600)
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}
