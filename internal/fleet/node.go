package fleet

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// read takes one value.
type read func(*yaml.Node) error

// fields reads a mapping that has no other fields than those known.
func fields(n *yaml.Node, what string, required []string, known map[string]read) error {
	seen := map[string]bool{}
	err := pairs(n, what, func(key, value *yaml.Node) error {
		take := known[key.Value]
		if take == nil {
			return &Error{key.Line, fmt.Sprintf("%s has no field %q; it has %s", what, key.Value, strings.Join(slices.Sorted(maps.Keys(known)), ", "))}
		}
		seen[key.Value] = true
		return take(value)
	})
	if err != nil {
		return err
	}
	for _, name := range required {
		if !seen[name] {
			return &Error{n.Line, fmt.Sprintf("%s needs the field %s", what, name)}
		}
	}
	return nil
}

// pairs goes through a mapping, in which each key stands once.
func pairs(n *yaml.Node, what string, visit func(key, value *yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return &Error{n.Line, what + " wants fields with values"}
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		if seen[key.Value] {
			return &Error{key.Line, fmt.Sprintf("%s has %s twice", what, key.Value)}
		}
		seen[key.Value] = true
		if err := visit(key, value); err != nil {
			return err
		}
	}
	return nil
}

// each goes through a list.
func each(n *yaml.Node, what string, visit read) error {
	if n.Kind != yaml.SequenceNode {
		return &Error{n.Line, what + " wants a list"}
	}
	for _, item := range n.Content {
		if item.Kind == yaml.AliasNode {
			item = item.Alias
		}
		if err := visit(item); err != nil {
			return err
		}
	}
	return nil
}

// text takes a text that is not empty.
func text(n *yaml.Node, into *string) error {
	if n.Kind != yaml.ScalarNode || n.Tag == yaml.NodeTagNull || n.Value == "" {
		return &Error{n.Line, "want a text"}
	}
	*into = n.Value
	return nil
}
