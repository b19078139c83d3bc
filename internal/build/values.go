package build

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Values are the variables that were read for a Kustomization, in the order of
// spec.postBuild.substituteFrom: of two with one name the later wins.
type Values struct {
	Sources []Source
}

// Source is an object that variables come from.
type Source struct {
	Kind, Name string
	Data       map[string]string
	// Secret: the values must not be shown.
	Secret bool
}

var variableName = regexp.MustCompile(`^[_[:alpha:]][_[:alpha:][:digit:]]*$`)

// variables merges the sources and the variables of the spec, which win over
// all others. Line breaks are taken out of values
// (fluxcd/pkg/kustomize/kustomize_varsub.go LoadVariables).
func (v Values) variables(inline map[string]string) map[string]string {
	merged := map[string]string{}
	for _, s := range v.Sources {
		for name, value := range s.Data {
			merged[name] = oneLine(value)
		}
	}
	for name, value := range inline {
		merged[name] = oneLine(value)
	}
	return merged
}

// check refuses names that cannot be variables: also those that nothing uses,
// as Flux does.
func (v Values) check(inline map[string]string) error {
	where := append([]Source{{Kind: "spec.postBuild", Name: "substitute", Data: inline}}, v.Sources...)
	for i, s := range where {
		for _, name := range slices.Sorted(maps.Keys(s.Data)) {
			if variableName.MatchString(name) {
				continue
			}
			from := s.Kind + "." + s.Name
			if i > 0 {
				from = s.Kind + "/" + s.Name
			}
			return fmt.Errorf("substituting variables: %s has the key %q, which cannot be a variable: a name is letters, digits and _, and does not begin with a digit", from, name)
		}
	}
	return nil
}

func oneLine(value string) string { return strings.ReplaceAll(value, "\n", "") }

// secrets are the values of Secrets, longest first, each once.
func (v Values) secrets() []string {
	var list []string
	for _, s := range v.Sources {
		if !s.Secret {
			continue
		}
		for _, value := range s.Data {
			for _, text := range []string{value, oneLine(value)} {
				if text != "" {
					list = append(list, text)
				}
			}
		}
	}
	slices.SortFunc(list, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	return slices.Compact(list)
}
