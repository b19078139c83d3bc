package build

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/internal/object"
)

// read parses documents into objects (fluxcd/pkg/ssa/utils ReadObjects): lists
// become what they hold, and what is for kustomize itself is left out.
func read(docs [][]byte) ([]*unstructured.Unstructured, error) {
	objects := make([]*unstructured.Unstructured, 0, len(docs))
	for _, doc := range docs {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(doc, u); err != nil {
			return nil, errors.New("reading the objects that were built: one has no kind")
		}
		if u.IsList() {
			err := u.EachListItem(func(item runtime.Object) error {
				objects = append(objects, item.(*unstructured.Unstructured))
				return nil
			})
			if err != nil {
				return nil, fmt.Errorf("reading %s: %w", object.IDOf(u), err)
			}
			continue
		}
		if u.GetName() != "" && u.GetKind() != "" && u.GetAPIVersion() != "" && !isKustomization(u) {
			objects = append(objects, u)
		}
	}
	for _, u := range objects {
		if u.GetName() == "" || u.GetKind() == "" || u.GetAPIVersion() == "" {
			return nil, fmt.Errorf("reading the objects that were built: %s has no name, no kind or no apiVersion", object.IDOf(u))
		}
	}
	return objects, nil
}

func isKustomization(u *unstructured.Unstructured) bool {
	return strings.EqualFold(u.GetKind(), "kustomization") && strings.HasPrefix(u.GetAPIVersion(), "kustomize.config.k8s.io/")
}

func isCRD(u *unstructured.Unstructured) bool {
	return strings.EqualFold(u.GetKind(), "customresourcedefinition") && strings.HasPrefix(u.GetAPIVersion(), "apiextensions.k8s.io/")
}
