package build

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/envsubst"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/yaml"
)

// substitute replaces the variables in every object's YAML
// (fluxcd/pkg/kustomize/kustomize_varsub.go SubstituteVariables). Without
// variables nothing is replaced, not even by defaults, unless the strategy
// says so.
func substitute(resources []frozen, ks *kustomizev1.Kustomization, v Values, strict bool) ([][]byte, error) {
	docs := make([][]byte, len(resources))
	for i, r := range resources {
		docs[i] = r.yaml
	}
	if ks.Spec.PostBuild == nil {
		return docs, nil
	}
	variables := v.variables(ks.Spec.PostBuild.Substitute)
	if len(variables) == 0 && ks.GetSubstituteStrategy() != kustomizev1.SubstituteStrategyAlways {
		return docs, nil
	}
	checked, quotable := false, len(v.secrets()) == 0
	for i, r := range resources {
		if r.literal {
			continue
		}
		if !checked {
			if err := v.check(ks.Spec.PostBuild.Substitute); err != nil {
				return nil, err
			}
			checked = true
		}
		text, err := expand(string(r.yaml), variables, strict)
		if err != nil {
			return nil, fmt.Errorf("substituting variables in %s: %w", r.id, err)
		}
		if docs[i], err = reparse(text, quotable); err != nil {
			return nil, fmt.Errorf("substituting variables in %s: %w", r.id, err)
		}
	}
	return docs, nil
}

// unset is how envsubst says that a variable is missing.
const unset = "variable not set (strict mode): "

func expand(text string, variables map[string]string, strict bool) (out string, err error) {
	defer func() {
		// Offsets and patterns come from the bundle; they must not take the
		// process with them.
		if p := recover(); p != nil {
			err = errors.New("an expression cannot be evaluated: look at its offsets and patterns")
		}
	}()
	out, err = envsubst.Eval(text, func(name string) (string, bool) {
		value, found := variables[name]
		return value, found || !strict
	})
	if err == nil {
		return out, nil
	}
	quoted, missing := strings.CutPrefix(err.Error(), unset)
	if name, bad := strconv.Unquote(quoted); missing && bad == nil {
		return "", fmt.Errorf("variable not set (strict mode): %q has no value and no default; define it in spec.postBuild, write ${%s:=default}, or $${%s} if it is no variable", name, name, name)
	}
	return "", fmt.Errorf("%w: write $${ for a ${ that begins no variable", err)
}

var lineNumber = regexp.MustCompile(`line \d+`)

// reparse gives the text the form that kustomize would write. What the parsers
// say about it may quote a part of a value, which could not be masked.
func reparse(text string, quotable bool) ([]byte, error) {
	asJSON, err := yaml.YAMLToJSON([]byte(text))
	if err == nil {
		asJSON, err = throughKustomize(asJSON)
	}
	if err == nil {
		asJSON, err = yaml.JSONToYAML(asJSON)
	}
	if err == nil {
		return asJSON, nil
	}
	where := lineNumber.FindString(err.Error())
	if quotable {
		where = err.Error()
	}
	if where != "" {
		where = " (" + where + ")"
	}
	return nil, fmt.Errorf("the values make it no valid object%s: put quotes around the variable", where)
}

// throughKustomize writes JSON as kustomize does, numbers above all.
func throughKustomize(raw []byte) ([]byte, error) {
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, err
	}
	node, err := kyaml.FromMap(object)
	if err != nil {
		return nil, err
	}
	return node.MarshalJSON()
}
