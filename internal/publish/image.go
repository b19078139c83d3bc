package publish

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/sluice-dev/sluice/internal/archive"
	"github.com/sluice-dev/sluice/internal/artifact"
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
	if _, version := cutTag(name); version != "" || strings.Contains(name, "@") {
		return Image{}, fmt.Errorf("%q is no image pin: the name before = must have no tag and no digest", text)
	}
	img := Image{Name: name}
	rest, dgst, hasDigest := strings.Cut(ref, "@")
	if hasDigest {
		if _, err := artifact.ParseDigest(dgst); err != nil {
			return Image{}, fmt.Errorf("%q is no image pin: %w", text, err)
		}
		img.Digest = dgst
	}
	var tag string
	img.NewName, tag = cutTag(rest)
	if tag != "" {
		img.NewTag = tag[1:]
		switch err := artifact.CheckTag(img.NewTag); {
		case hasDigest:
			return Image{}, fmt.Errorf("%q pins a tag and a digest; one of them is enough", text)
		case err != nil:
			return Image{}, fmt.Errorf("%q is no image pin: %w", text, err)
		}
	}
	if looksLikeVersion.MatchString(ref) {
		return Image{}, fmt.Errorf("%q would rename the image to %q; to set its tag write %s=:%s", text, ref, name, ref)
	}
	img.keepsVersion = img.NewTag == "" && img.Digest == ""
	return img, nil
}

// cutTag splits a name from its tag, which keeps its colon.
func cutTag(ref string) (name, tag string) {
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') || i == 0 {
		return ref[:i], ref[i:]
	}
	return ref, ""
}

// looksLikeVersion finds the forgotten colon in NAME=v1.2.3.
var looksLikeVersion = regexp.MustCompile(`^v?[0-9]+(\.[0-9]+)+([-_.][a-zA-Z0-9._-]+)?$`)

// ErrNoKustomization says that there is no file to write pins to.
var ErrNoKustomization = errors.New("no kustomization.yaml")

// SetImages writes pins into the kustomization file of a directory of the tree
// and returns the changed tree. Everything else in the file stays as it is.
func SetImages(tree *archive.Tree, dir string, images []Image) (*archive.Tree, error) {
	if len(images) == 0 {
		return tree, nil
	}
	dir = path.Clean(strings.TrimPrefix(dir, "/"))
	file, err := build.KustomizationFile(tree, dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return nil, fmt.Errorf("%w in directory %q of the bundle", ErrNoKustomization, dir)
	}
	if err != nil {
		return nil, err
	}
	raw, err := tree.ReadFile(file)
	if err != nil {
		return nil, err
	}
	text, err := setImages(string(raw), images)
	if err != nil {
		return nil, fmt.Errorf("setting images in %s: %w", file, err)
	}
	return tree.With(path.Clean(file), []byte(text))
}

// setImages changes the text of a kustomization file.
func setImages(text string, images []Image) (string, error) {
	doc, err := yaml.Parse(text)
	kept := ""
	switch {
	case errors.Is(err, io.EOF): // nothing there, or only comments
		doc, kept = yaml.NewMapRNode(nil), text
	case err != nil:
		return "", err
	case doc.YNode().Kind != yaml.MappingNode:
		return "", errors.New("the file is no mapping of fields")
	}
	if field := doc.Field("images"); field != nil && field.Value.IsNilOrEmpty() {
		if err := doc.PipeE(yaml.Clear("images")); err != nil { // null, or [] in one line
			return "", err
		}
	} else if field != nil && field.Value.YNode().Kind != yaml.SequenceNode {
		return "", errors.New("images is no list")
	}
	list, err := doc.Pipe(yaml.LookupCreate(yaml.SequenceNode, "images"))
	if err != nil {
		return "", err
	}
	for _, img := range images {
		if err := img.set(list); err != nil {
			return "", fmt.Errorf("image %s: %w", img.Name, err)
		}
	}
	indent := yaml.SequenceIndentStyle(yaml.DeriveSeqIndentStyle(text))
	changed, err := yaml.MarshalWithOptions(doc.Document(), &yaml.EncoderOptions{SeqIndent: indent})
	return kept + string(changed), err
}

// set pins every entry of the image's name: kustomize applies them one after
// the other, so one left as it was could undo the pin.
func (img Image) set(list *yaml.RNode) error {
	entries, err := list.Elements()
	if err != nil {
		return err
	}
	entries = slices.DeleteFunc(entries, func(entry *yaml.RNode) bool {
		name, err := entry.GetString("name")
		return err != nil || name != img.Name
	})
	if len(entries) == 0 {
		entry := yaml.NewMapRNode(&map[string]string{"name": img.Name})
		if err := list.PipeE(yaml.Append(entry.YNode())); err != nil {
			return err
		}
		entries = append(entries, entry)
	}
	for _, entry := range entries {
		if err := img.setEntry(entry); err != nil {
			return err
		}
	}
	return nil
}

func (img Image) setEntry(entry *yaml.RNode) error {
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
			if old := entry.Field(field); old != nil {
				node.YNode().LineComment = old.Value.YNode().LineComment
			}
			if err := entry.PipeE(yaml.SetField(field, node)); err != nil {
				return err
			}
		}
	}
	return nil
}
