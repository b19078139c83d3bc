package publish

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/sluice-dev/sluice/internal/archive"
	"github.com/sluice-dev/sluice/internal/build"
)

// Image is a pin to write into a kustomization.yaml: `kustomize edit set image`.
type Image struct {
	Name           string // as it stands in the objects
	NewName        string // empty keeps the name
	NewTag, Digest string // at most one of them; with neither the version stays

	keepsVersion bool
}

// ParseImage reads NAME=REF. REF is newname:tag, newname@digest, newname, or
// :tag and @digest, which keep the name.
func ParseImage(text string) (Image, error) {
	name, ref, found := strings.Cut(text, "=")
	if !found || name == "" || ref == "" {
		return Image{}, fmt.Errorf("%q is no image pin; want NAME=REF, for example ghcr.io/org/app=:v1.2.3", text)
	}
	img := Image{Name: name}
	rest, digest, hasDigest := strings.Cut(ref, "@")
	if hasDigest {
		img.Digest = digest
		if algorithm, hex, ok := strings.Cut(digest, ":"); !ok || algorithm == "" || hex == "" {
			return Image{}, fmt.Errorf("%q is no image pin: %q is no digest", text, digest)
		}
	}
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, '/') {
		if hasDigest {
			return Image{}, fmt.Errorf("%q pins a tag and a digest; one of them is enough", text)
		}
		img.NewTag, rest = rest[i+1:], rest[:i]
		if img.NewTag == "" {
			return Image{}, fmt.Errorf("%q is no image pin: its tag is empty", text)
		}
	}
	img.NewName = rest
	img.keepsVersion = img.NewTag == "" && img.Digest == ""
	return img, nil
}

// SetImages writes pins into the kustomization file of a directory of the tree
// and returns the changed tree. Everything else in the file stays as it is.
func SetImages(tree *archive.Tree, dir string, images []Image) (*archive.Tree, error) {
	if len(images) == 0 {
		return tree, nil
	}
	file, err := build.KustomizationFile(tree, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("setting images: %s has no kustomization.yaml; name a directory that has one", dir)
	}
	if err != nil {
		return nil, err
	}
	raw, err := tree.ReadFile(file)
	if err != nil {
		return nil, err
	}
	doc, err := yaml.Parse(string(raw))
	if err != nil {
		return nil, fmt.Errorf("setting images in %s: %w", file, err)
	}
	list, err := doc.Pipe(yaml.LookupCreate(yaml.SequenceNode, "images"))
	if err != nil {
		return nil, fmt.Errorf("setting images in %s: %w", file, err)
	}
	for _, img := range images {
		if err := img.set(list); err != nil {
			return nil, fmt.Errorf("setting image %s in %s: %w", img.Name, file, err)
		}
	}
	text, err := doc.String()
	if err != nil {
		return nil, fmt.Errorf("setting images in %s: %w", file, err)
	}
	return tree.With(path.Clean(file), []byte(text))
}

func (img Image) set(list *yaml.RNode) error {
	entry, err := list.Pipe(yaml.MatchElement("name", img.Name))
	if err != nil {
		return err
	}
	if entry == nil {
		entry = yaml.NewMapRNode(&map[string]string{"name": img.Name})
		if err := list.PipeE(yaml.Append(entry.YNode())); err != nil {
			return err
		}
	}
	fields := map[string]string{}
	if img.NewName != "" {
		fields["newName"] = img.NewName
	}
	if !img.keepsVersion {
		fields["newTag"], fields["digest"] = img.NewTag, img.Digest
	}
	for _, field := range []string{"newName", "newTag", "digest"} {
		value, given := fields[field]
		switch {
		case !given:
		case value == "":
			if err := entry.PipeE(yaml.Clear(field)); err != nil {
				return err
			}
		default:
			// Tags like 1.10 or 0123 must stay text.
			node := yaml.NewStringRNode(value)
			if err := entry.PipeE(yaml.SetField(field, node)); err != nil {
				return err
			}
		}
	}
	return nil
}
