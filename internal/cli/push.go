package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/internal/archive"
	"github.com/sluice-dev/sluice/internal/artifact"
	"github.com/sluice-dev/sluice/internal/build"
	"github.com/sluice-dev/sluice/internal/ignore"
	"github.com/sluice-dev/sluice/internal/publish"
)

type pushFlags struct {
	registryFlags
	path, source, revision string
	tags                   []string
	ignore, addIgnore      []string
	annotations            []string
	output                 format
	reproducible           bool
	resolveSymlinks        bool
	debug                  bool
	check                  []string
	images                 []string
	in                     string
}

func newPush(std IO) *cobra.Command {
	c := pushCommand(std, "push")
	c.AddCommand(pushCommand(std, "artifact"))
	return c
}

func pushCommand(std IO, name string) *cobra.Command {
	var f pushFlags
	c := &cobra.Command{
		Use:   name + " oci://REGISTRY/REPO:TAG --path DIR",
		Short: "Publish a directory as a bundle",
		Long: `Publish a directory as a bundle that OCIRepository objects can follow.

The digest depends on content, source and revision only: pushed again, an equal
bundle has an equal digest. The last line on stdout is REPO@DIGEST.`,
		Example: `  sluice push oci://ghcr.io/org/app-kustomize:v1.2.3 --path ./config
  sluice push oci://ghcr.io/org/app-kustomize --tag v1.2.3 --tag latest --path ./config \
    --check base,overlays/production --set-image ghcr.io/org/app=:v1.2.3 --in base`,
		Args: oneArg("oci://REGISTRY/REPO:TAG"),
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, std, args[0]) },
	}
	flags := c.Flags()
	flags.StringVarP(&f.path, "path", "f", "", "directory or file to publish; - is stdin (required)")
	flags.StringVar(&f.source, "source", "", "where the content comes from, free text; from CI variables or Git unless given")
	flags.StringVar(&f.revision, "revision", "", "revision of the source, free text; from CI variables or Git, as branch@sha1:commit, unless given")
	flags.StringArrayVar(&f.tags, "tag", nil, "a further tag for the same upload; may be repeated")
	flags.StringSliceVar(&f.ignore, "ignore-paths", strings.Split(ignore.PushDefaults, ","), "what to leave out, in the format of .gitignore")
	flags.StringSliceVar(&f.addIgnore, "add-ignore-paths", nil, "what to leave out besides --ignore-paths")
	flags.StringArrayVarP(&f.annotations, "annotations", "a", nil, "annotation of the manifest as KEY=VALUE; may be repeated")
	flags.BoolVar(&f.reproducible, "reproducible", false, "say that the content was created in 1970; digests are reproducible without it too")
	flags.BoolVar(&f.resolveSymlinks, "resolve-symlinks", false, "publish what symlinks point to; otherwise they are left out")
	flags.BoolVar(&f.debug, "debug", false, "say on stderr what is published")
	flags.StringSliceVar(&f.check, "check", nil, "directories of the bundle that must build, or nothing is pushed")
	flags.StringArrayVar(&f.images, "set-image", nil, "write an image pin NAME=REF into the bundle, as kustomize edit set image does; may be repeated")
	flags.StringVar(&f.in, "in", ".", "directory of the bundle whose kustomization.yaml takes the pins of --set-image")
	f.output.register(c)
	f.registryFlags.register(c)
	return c
}

// nothingPushed is what happens by itself after every failure here.
const nothingPushed = "nothing: no tag was moved"

func (f *pushFlags) run(c *cobra.Command, std IO, target string) error {
	if err := f.output.check(c); err != nil {
		return err
	}
	ref, tags, err := f.target(c, target)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Context(), f.timeout)
	defer cancel()
	tree, err := f.tree(c, std)
	if err != nil {
		return err
	}
	if err := f.checkBuilds(std, tree); err != nil {
		return err
	}
	about, err := f.about(ctx, c, std)
	if err != nil {
		return err
	}
	packed, err := publish.Pack(tree, about)
	if err != nil {
		return &Problem{Code: Negative, What: "packing the bundle failed", Why: err, Next: nothingPushed}
	}
	client, err := f.open(c, std, ref.Repository)
	if err != nil {
		return err
	}
	fmt.Fprintf(std.Err, "%d files, %s → %s, revision %s\n", len(tree.Files()), size(tree.Bytes()), size(packed.Layer.Size), about.Revision)
	if f.debug {
		for _, file := range tree.Files() {
			fmt.Fprintln(std.Err, "  "+file)
		}
	}
	dgst, err := client.Push(ctx, packed, tags)
	if err != nil {
		return registryProblem(fmt.Sprintf("pushing to %s failed", ref.Repository.URL()), "nothing: tags not named as written above still point where they did", err)
	}
	fmt.Fprintf(std.Err, "pushed and tagged %s\n", strings.Join(tags, ", "))
	pushed := artifact.Reference{Repository: ref.Repository, Digest: dgst}
	return f.output.print(std.Out, map[string]any{
		"url": artifact.Scheme + pushed.String(), "repository": ref.Repository.String(), "tag": tags[0], "tags": tags, "digest": dgst.String(),
	}, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, pushed)
		return err
	})
}

func (f *pushFlags) target(c *cobra.Command, text string) (artifact.Reference, []string, error) {
	ref, err := reference(c, text)
	if err != nil {
		return ref, nil, err
	}
	if ref.Digest != "" {
		return ref, nil, usage(c, "a push cannot choose its digest; give a tag")
	}
	var tags []string
	if ref.Tag != "" {
		tags = append(tags, ref.Tag)
	}
	for _, tag := range f.tags {
		if err := artifact.CheckTag(tag); err != nil {
			return ref, nil, usage(c, "--tag: "+err.Error())
		}
		if !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	if len(tags) == 0 {
		tags = []string{"latest"}
	}
	return ref, tags, nil
}

// tree reads the content and writes the image pins into it.
func (f *pushFlags) tree(c *cobra.Command, std IO) (*archive.Tree, error) {
	if f.path == "" {
		return nil, usage(c, "--path is required: the directory to publish")
	}
	tree, err := readBundle(f.path, std.In, ignore.ForPush(append(f.ignore, f.addIgnore...)), f.resolveSymlinks)
	if err != nil {
		return nil, &Problem{Code: codeOf(err), What: fmt.Sprintf("reading %s failed", f.path), Why: err, Next: nothingPushed}
	}
	if len(tree.Files()) == 0 {
		return nil, &Problem{
			Code: NotFound, What: fmt.Sprintf("there is nothing to publish in %s", f.path),
			Why: errors.New("no file is left after --ignore-paths"), Next: nothingPushed,
			Do: []string{"check --path", "check --ignore-paths"},
		}
	}
	var pins []publish.Image
	for _, text := range f.images {
		pin, err := publish.ParseImage(text)
		if err != nil {
			return nil, usage(c, "--set-image: "+err.Error())
		}
		pins = append(pins, pin)
	}
	tree, err = publish.SetImages(tree, strings.TrimPrefix(f.in, "./"), pins)
	if err != nil {
		return nil, &Problem{Code: NotFound, What: "writing the image pins failed", Why: err, Next: nothingPushed, Do: []string{"name the directory of a kustomization.yaml with --in"}}
	}
	return tree, nil
}

func (f *pushFlags) checkBuilds(std IO, tree *archive.Tree) error {
	for _, dir := range f.check {
		objects, err := build.Run(tree, dir)
		if err != nil {
			code := Negative
			if errors.Is(err, build.ErrNoPath) {
				code = NotFound
			}
			return &Problem{Code: code, What: fmt.Sprintf("%s does not build", dir), Why: err, Next: nothingPushed, Do: []string{"mend it; to publish it all the same leave it out of --check"}}
		}
		fmt.Fprintf(std.Err, "%s builds: %d objects\n", dir, objects.Size())
	}
	return nil
}

func (f *pushFlags) about(ctx context.Context, c *cobra.Command, std IO) (publish.About, error) {
	o, err := findOrigin(ctx, std.Getenv, f.path, f.source, f.revision)
	if err != nil {
		return publish.About{}, usage(c, err.Error())
	}
	if o.dirty {
		fmt.Fprintf(std.Err, "warning: %s has changes that are not committed; the revision does not say so\n", f.path)
	}
	about := publish.About{Source: o.source, Revision: o.revision, Created: o.created, Annotations: map[string]string{}}
	if f.reproducible {
		about.Created = time.Unix(0, 0)
	}
	for _, text := range f.annotations {
		key, value, found := strings.Cut(text, "=")
		if !found || key == "" {
			return publish.About{}, usage(c, fmt.Sprintf("--annotations %q: want KEY=VALUE", text))
		}
		about.Annotations[key] = value
	}
	return about, nil
}
