package fleet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// Error is what is wrong with the file, and where.
type Error struct {
	Line int // from 1; 0 is the file as a whole
	What string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return File + ": " + e.What
	}
	return fmt.Sprintf("%s:%d: %s", File, e.Line, e.What)
}

// Parse reads the text of a sluice.yaml. Every error is an *Error.
func Parse(text []byte) (Fleet, error) {
	root, err := document(text)
	if err != nil {
		return Fleet{}, err
	}
	f := Fleet{Repository: Source{Path: "."}}
	err = fields(root, "sluice.yaml", []string{"repository", "clusters"}, map[string]read{
		"repository": func(n *yaml.Node) error { return readURL(n, &f.Repository.URL) },
		"tags":       func(n *yaml.Node) error { return readTags(n, &f.Repository.Tags) },
		"clusters": func(n *yaml.Node) error {
			return each(n, "clusters", func(n *yaml.Node) error { return f.cluster(n) })
		},
		"sources": func(n *yaml.Node) error {
			return each(n, "sources", func(n *yaml.Node) error { return f.source(n) })
		},
		"try": func(n *yaml.Node) error {
			return each(n, "try", func(n *yaml.Node) error { return f.suggestion(n) })
		},
	})
	if err == nil && len(f.Clusters) == 0 {
		err = &Error{root.Line, "clusters is empty: name at least one"}
	}
	return f, err
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): `)

// document is the mapping that the file consists of.
func document(text []byte) (*yaml.Node, error) {
	var doc, more yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	err := decoder.Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0 {
		return nil, &Error{What: "the file is empty"}
	}
	if err != nil {
		e := &Error{What: "this is no YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")}
		if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
			_, _ = fmt.Sscan(m[1], &e.Line)
			e.What = "this is no YAML: " + strings.TrimPrefix(err.Error(), m[0])
		}
		return nil, e
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, &Error{more.Line, "the file holds a second document"}
	}
	if doc.Content[0].Kind != yaml.MappingNode {
		return nil, &Error{doc.Content[0].Line, "want a mapping with the fields repository, clusters and sources"}
	}
	return doc.Content[0], nil
}

// Also the name of a lab's cluster: part of file names.
var clusterName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?$`)

func (f *Fleet) cluster(n *yaml.Node) error {
	var c Cluster
	err := fields(n, "a cluster", []string{"name", "path"}, map[string]read{
		"name": func(n *yaml.Node) error {
			if err := text(n, &c.Name); err != nil {
				return err
			}
			if !clusterName.MatchString(c.Name) {
				return &Error{n.Line, fmt.Sprintf("%q is no name: lower-case letters, digits and dashes", c.Name)}
			}
			return nil
		},
		"path":      func(n *yaml.Node) error { return readPath(n, &c.Path, true) },
		"variables": func(n *yaml.Node) error { return readVariables(n, &c.Variables) },
	})
	if err != nil {
		return err
	}
	for _, other := range f.Clusters {
		if other.Name == c.Name {
			return &Error{n.Line, fmt.Sprintf("there are two clusters %s", c.Name)}
		}
	}
	f.Clusters = append(f.Clusters, c)
	return nil
}

func (f *Fleet) source(n *yaml.Node) error {
	var s Source
	err := fields(n, "a source", []string{"url", "path"}, map[string]read{
		"url":  func(n *yaml.Node) error { return readURL(n, &s.URL) },
		"path": func(n *yaml.Node) error { return readPath(n, &s.Path, false) },
		"tags": func(n *yaml.Node) error { return readTags(n, &s.Tags) },
	})
	if err != nil {
		return err
	}
	for _, other := range f.All() {
		if other.URL == s.URL {
			return &Error{n.Line, fmt.Sprintf("there are two directories for %s", s.URL)}
		}
	}
	f.Sources = append(f.Sources, s)
	return nil
}

func (f *Fleet) suggestion(n *yaml.Node) error {
	var s Suggestion
	err := fields(n, "a suggestion", []string{"say", "run"}, map[string]read{
		"say": func(n *yaml.Node) error { return text(n, &s.Say) },
		"run": func(n *yaml.Node) error { return text(n, &s.Run) },
	})
	f.Try = append(f.Try, s)
	return err
}
