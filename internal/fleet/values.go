package fleet

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/sluice-dev/sluice/internal/artifact"
)

var placeholder = regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*\}`)

func readURL(n *yaml.Node, into *string) error {
	if err := text(n, into); err != nil {
		return err
	}
	// A variable stands for a registry, or for a part of the name.
	filled := placeholder.ReplaceAllString(strings.Replace(*into, artifact.Scheme+"${", artifact.Scheme+"registry.example/${", 1), "x")
	ref, err := artifact.ParseReference(filled)
	switch {
	case !strings.HasPrefix(*into, artifact.Scheme):
		return &Error{n.Line, fmt.Sprintf("%q is no URL of a bundle; want oci://REGISTRY/REPOSITORY", *into)}
	case err != nil:
		return &Error{n.Line, strings.ReplaceAll(err.Error(), filled, *into)}
	case ref.Tag != "" || ref.Digest != "":
		return &Error{n.Line, fmt.Sprintf("%q names a version; list tags under tags", *into)}
	}
	return nil
}

func readTags(n *yaml.Node, into *[]string) error {
	return each(n, "tags", func(n *yaml.Node) error {
		var tag string
		if err := text(n, &tag); err != nil {
			return err
		}
		if err := artifact.CheckTag(tag); err != nil {
			return &Error{n.Line, err.Error()}
		}
		*into = append(*into, tag)
		return nil
	})
}

// readPath wants a relative directory, and for what is published with the
// repository one inside of it.
func readPath(n *yaml.Node, into *string, inside bool) error {
	if err := text(n, into); err != nil {
		return err
	}
	switch {
	case path.IsAbs(*into):
		return &Error{n.Line, fmt.Sprintf("%q is absolute; paths are relative to this file", *into)}
	case inside && (clean(*into) == ".." || strings.HasPrefix(clean(*into), "../")):
		return &Error{n.Line, fmt.Sprintf("%q is outside of this directory, and would not be published with it", *into)}
	}
	*into = clean(*into)
	return nil
}

var variableName = regexp.MustCompile(`^[_A-Za-z][_A-Za-z0-9]*$`)

func readVariables(n *yaml.Node, into *map[string]string) error {
	*into = map[string]string{}
	return pairs(n, "variables", func(key, value *yaml.Node) error {
		if !variableName.MatchString(key.Value) {
			return &Error{key.Line, fmt.Sprintf("%q is no name of a variable: letters, digits and _", key.Value)}
		}
		if value.Kind != yaml.ScalarNode || value.Tag == yaml.NodeTagNull {
			return &Error{value.Line, fmt.Sprintf("%s wants a text", key.Value)}
		}
		(*into)[key.Value] = value.Value
		return nil
	})
}
