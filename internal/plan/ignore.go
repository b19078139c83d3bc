package plan

import (
	"fmt"
	"regexp"

	"github.com/fluxcd/pkg/apis/kustomize"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
)

// ignoreRule is a rule of spec.ignore, compiled (pkg/ssa/jsondiff/selector.go).
type ignoreRule struct {
	paths []string
	match func(*unstructured.Unstructured) bool
}

func compileIgnore(rules []kustomizev1.IgnoreRule) ([]ignoreRule, error) {
	var compiled []ignoreRule
	for i, rule := range rules {
		match, err := compileTarget(rule.Target)
		if err != nil {
			return nil, fmt.Errorf("reading spec.ignore[%d].target: %w", i, err)
		}
		compiled = append(compiled, ignoreRule{rule.Paths, match})
	}
	return compiled, nil
}

// compileTarget makes a predicate of a target: names are regular expressions
// that have to match as a whole, an empty field matches everything.
func compileTarget(target *kustomize.Selector) (func(*unstructured.Unstructured) bool, error) {
	if target == nil {
		return func(*unstructured.Unstructured) bool { return true }, nil
	}
	var patterns []*regexp.Regexp
	for _, field := range []struct{ name, text string }{
		{"group", target.Group}, {"version", target.Version}, {"kind", target.Kind},
		{"name", target.Name}, {"namespace", target.Namespace},
	} {
		text := ""
		if field.text != "" {
			text = "^(?:" + field.text + ")$"
		}
		pattern, err := regexp.Compile(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", field.name, err)
		}
		patterns = append(patterns, pattern)
	}
	labelled, err := labels.Parse(target.LabelSelector)
	if err != nil {
		return nil, fmt.Errorf("labelSelector: %w", err)
	}
	annotated, err := labels.Parse(target.AnnotationSelector)
	if err != nil {
		return nil, fmt.Errorf("annotationSelector: %w", err)
	}
	return func(u *unstructured.Unstructured) bool {
		gvk := u.GroupVersionKind()
		for i, text := range []string{gvk.Group, gvk.Version, gvk.Kind, u.GetName(), u.GetNamespace()} {
			if !patterns[i].MatchString(text) {
				return false
			}
		}
		return labelled.Matches(labels.Set(u.GetLabels())) && annotated.Matches(labels.Set(u.GetAnnotations()))
	}, nil
}

// ignoredPaths are the JSON pointers that are not compared in an object.
func ignoredPaths(u *unstructured.Unstructured, rules []ignoreRule) []string {
	var paths []string
	for _, rule := range rules {
		if rule.match(u) {
			paths = append(paths, rule.paths...)
		}
	}
	return paths
}

// without gives a copy of an object that lacks some paths.
func without(u *unstructured.Unstructured, paths []string) *unstructured.Unstructured {
	if len(paths) == 0 {
		return u
	}
	u = u.DeepCopy()
	for _, path := range paths {
		removePointer(u.Object, path)
	}
	return u
}
