package crstatus

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// kind is what of a CustomResourceDefinition matters here.
type kind struct {
	groupKind schema.GroupKind
	resource  string
	stored    string
	versions  []string // served
	// withStatus are the versions that have a status subresource.
	withStatus []string
}

// target is where a watch reads and writes.
type target struct {
	resource  schema.GroupVersionResource
	hasStatus bool
}

// kindOf reads a CRD; false means that its resource is not served yet.
func kindOf(crd *unstructured.Unstructured) (kind, bool) {
	text := func(fields ...string) string {
		value, _, _ := unstructured.NestedString(crd.Object, fields...)
		return value
	}
	k := kind{groupKind: schema.GroupKind{Group: text("spec", "group"), Kind: text("spec", "names", "kind")},
		resource: text("spec", "names", "plural")}
	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	for _, item := range versions {
		version, _ := item.(map[string]any)
		name, _, _ := unstructured.NestedString(version, "name")
		if served, _, _ := unstructured.NestedBool(version, "served"); served {
			k.versions = append(k.versions, name)
		}
		if stored, _, _ := unstructured.NestedBool(version, "storage"); stored {
			k.stored = name
		}
		if _, has, _ := unstructured.NestedMap(version, "subresources", "status"); has {
			k.withStatus = append(k.withStatus, name)
		}
	}
	return k, crd.GetDeletionTimestamp() == nil && len(k.versions) > 0 && established(crd)
}

func established(crd *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
	return slices.ContainsFunc(conditions, func(item any) bool {
		condition, _ := item.(map[string]any)
		return condition["type"] == "Established" && condition["status"] == "True"
	})
}

func (k kind) serves(version string) bool {
	return version == "" || slices.Contains(k.versions, version)
}

func (k kind) target(version string) target {
	switch {
	case version != "":
	case slices.Contains(k.versions, k.stored):
		version = k.stored
	default:
		version = k.versions[0]
	}
	return target{resource: k.groupKind.WithVersion(version).GroupVersion().WithResource(k.resource),
		hasStatus: slices.Contains(k.withStatus, version)}
}

// dropSchemas keeps the cache of CRDs small: schemas are nearly all of them.
func dropSchemas(object any) (any, error) {
	crd, ok := object.(*unstructured.Unstructured)
	if !ok {
		return object, nil
	}
	crd.SetManagedFields(nil)
	crd.SetAnnotations(nil)
	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	for _, item := range versions {
		if version, ok := item.(map[string]any); ok {
			delete(version, "schema")
		}
	}
	return crd, unstructured.SetNestedSlice(crd.Object, versions, "spec", "versions")
}
