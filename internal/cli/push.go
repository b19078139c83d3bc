package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
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
	fmt.Fprintf(std.Err, "%s, %s → %s packed, revision %s\n",
		count(len(tree.Files()), "file"), size(tree.Bytes()), size(packed.Layer.Size), strings.TrimSpace(about.Revision))
	if f.debug {
		for _, file := range tree.Files() {
			fmt.Fprintln(std.Err, "  "+file)
		}
	}
	dgst, err := client.Push(ctx, packed, tags)
	if err != nil {
		p := registryProblem(fmt.Sprintf("pushing to %s failed", ref.Repository.URL()), err).afterTags(tags)
		if p.Code == NotFound {
			p.Do = []string{"check the name; some registries want a repository to be created before the first push"}
		}
		return p
	}
	fmt.Fprintf(std.Err, "pushed and tagged %s\n", strings.Join(tags, ", "))
	pushed := artifact.Reference{Repository: ref.Repository, Digest: dgst}
	return f.output.print(std.Out, pushResult{
		URL: artifact.Scheme + pushed.String(), Repository: ref.Repository.String(), Tag: tags[0], Tags: tags, Digest: dgst.String(),
	}, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, pushed)
		return err
	})
}

// pushResult is what `sluice push` says of what it pushed; url, repository, tag
// and digest are as in flux.
type pushResult struct {
	URL        string   `json:"url"`
	Repository string   `json:"repository"`
	Tag        string   `json:"tag"`
	Tags       []string `json:"tags"`
	Digest     string   `json:"digest"`
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
	switch changed := c.Flags().Changed; {
	case f.path == "":
		return nil, usage(c, "--path is required: the directory to publish")
	case changed("check") && len(f.check) == 0:
		return nil, usage(c, "--check is empty: nothing would be checked")
	case changed("in") && len(f.images) == 0:
		return nil, usage(c, "--in needs --set-image: without it no file is written to")
	}
	tree, err := f.read(std)
	if err != nil {
		return nil, err
	}
	var pins []publish.Image
	for _, text := range f.images {
		pin, err := publish.ParseImage(text)
		if err != nil {
			return nil, usage(c, "--set-image: "+err.Error())
		}
		pins = append(pins, pin)
	}
	pinned, err := publish.SetImages(tree, f.in, pins)
	if errors.Is(err, publish.ErrNoKustomization) {
		p := &Problem{Code: NotFound, What: "writing the image pins failed", Why: err, Next: nothingPushed}
		if dirs := entries(tree); len(dirs) > 0 {
			p.Do = []string{"name a directory that has one with --in: " + strings.Join(dirs, ", ")}
		} else {
			p.Do = []string{"publish a directory with a kustomization.yaml"}
		}
		return nil, p
	}
	if err != nil {
		return nil, &Problem{Code: Negative, What: "writing the image pins failed", Why: err, Next: nothingPushed, Do: []string{"mend the file"}}
	}
	for _, pin := range pins {
		if !mentions(tree, pin.Name) {
			fmt.Fprintf(std.Err, "warning: no file of the bundle mentions the image %s; its pin has no effect on what is there\n", pin.Name)
		}
	}
	return pinned, nil
}

// read reads what is to be published.
func (f *pushFlags) read(std IO) (*archive.Tree, error) {
	skip := ignore.ForPush(append(f.ignore, f.addIgnore...))
	tree, err := readBundle(f.path, std.In, skip, f.resolveSymlinks)
	if err != nil {
		p := &Problem{Code: codeOf(err), What: fmt.Sprintf("reading %s failed", f.path), Why: err, Next: nothingPushed}
		var link badLink
		switch {
		case errors.As(err, &link):
			p.Do = []string{"mend the link", "leave it out with --add-ignore-paths"}
		case p.Code == NotFound:
			p.Do = []string{"check --path"}
		}
		return nil, p
	}
	if len(tree.Files()) == 0 {
		p := &Problem{Code: NotFound, What: "there is nothing to publish in " + f.path, Next: nothingPushed}
		if f.path == "-" {
			p.What = "there is nothing to publish: stdin is empty"
		} else {
			p.Do = []string{"check --path", "check --ignore-paths"}
		}
		return nil, p
	}
	if links := symlinks(f.path, skip); len(links) > 0 && !f.resolveSymlinks {
		fmt.Fprintf(std.Err, "warning: left out: %s; --resolve-symlinks publishes what symlinks point to\n", some(links))
	}
	return tree, nil
}

// mentions tells whether any file of the tree holds a text.
func mentions(tree *archive.Tree, text string) bool {
	return slices.ContainsFunc(tree.Files(), func(file string) bool {
		data, err := tree.ReadFile(file)
		return err == nil && bytes.Contains(data, []byte(text))
	})
}

func (f *pushFlags) checkBuilds(std IO, tree *archive.Tree) error {
	for _, dir := range f.check {
		objects, err := build.Run(tree, dir)
		if err != nil {
			p := &Problem{
				Code: Negative, What: fmt.Sprintf("%s does not build", dir), Next: nothingPushed,
				Do: []string{"mend it; to publish it all the same leave it out of --check"},
			}
			p.Why = errors.New(strings.TrimPrefix(err.Error(), "building "+path.Clean(dir)+": "))
			if errors.Is(err, build.ErrNoPath) {
				p.Code, p.Do = NotFound, []string{"name a directory inside of " + f.path}
				if dirs := entries(tree); len(dirs) > 0 {
					p.Do[0] += ": " + some(dirs)
				}
			}
			return p
		}
		if objects.Size() == 0 {
			fmt.Fprintf(std.Err, "warning: %s builds, but to nothing\n", dir)
			continue
		}
		fmt.Fprintf(std.Err, "%s builds: %s\n", dir, count(objects.Size(), "object"))
	}
	return nil
}

func (f *pushFlags) about(ctx context.Context, c *cobra.Command, std IO) (publish.About, error) {
	o, err := findOrigin(ctx, std.Getenv, f.path, f.source, f.revision)
	if err != nil {
		return publish.About{}, err
	}
	if o.hadPassword {
		fmt.Fprintln(std.Err, "warning: the URL of the source had credentials in it; they are not published")
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
