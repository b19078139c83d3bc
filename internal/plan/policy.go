package plan

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
)

// The marks of Flux: labels or annotations on objects, and the labels that name
// the owner (kustomize-controller kustomization_controller.go apply, pkg/ssa
// owner.go).
const (
	domain    = "kustomize.toolkit.fluxcd.io/"
	reconcile = "reconcile"
	serverSet = "ssa"
	prune     = "prune"
	force     = "force"

	ownerName      = domain + "name"
	ownerNamespace = domain + "namespace"
)

// AllowEmptyAnnotation on a Kustomization names the one revision whose empty
// build may prune everything.
const AllowEmptyAnnotation = "sluice.dev/allow-empty"

var policies = []string{reconcile, serverSet, prune, force}

// marked tells whether an object carries a mark as a label or as an annotation.
// Values are compared without case, as Flux does (pkg/ssa/utils/meta.go).
func marked(u *unstructured.Unstructured, policy, value string) bool {
	if u == nil {
		return false
	}
	key := domain + policy
	return strings.EqualFold(u.GetLabels()[key], value) || strings.EqualFold(u.GetAnnotations()[key], value)
}

// policyOf keeps the marks of an object in lower case, by policy. A label and
// an annotation that disagree are both kept.
func policyOf(u *unstructured.Unstructured) map[string]string {
	labels, annotations := u.GetLabels(), u.GetAnnotations()
	var found map[string]string
	for _, policy := range policies {
		label, annotation := strings.ToLower(labels[domain+policy]), strings.ToLower(annotations[domain+policy])
		value := label
		switch {
		case label == "":
			value = annotation
		case annotation != "" && annotation != label:
			value = label + "," + annotation
		}
		if value == "" {
			continue
		}
		if found == nil {
			found = map[string]string{}
		}
		found[policy] = value
	}
	return found
}

// OwnerOf reads the labels that name the Kustomization an object belongs to;
// zero if there are none.
func OwnerOf(u *unstructured.Unstructured) Owner {
	labels := u.GetLabels()
	return Owner{Namespace: labels[ownerNamespace], Name: labels[ownerName]}
}

// Left says why a wanted object is left as it is, or not created; empty if it
// is to be applied. Live is nil if it is not there or not known: a mark on the
// wanted object decides without it, except "ssa: IfNotPresent".
// (pkg/ssa/manager_apply.go shouldSkipApply.)
func Left(desired, live *unstructured.Unstructured) string {
	for _, side := range []struct {
		object *unstructured.Unstructured
		where  string
	}{{desired, "in the bundle"}, {live, "on the live object"}} {
		switch {
		case marked(side.object, reconcile, kustomizev1.DisabledValue):
			return mark(reconcile, kustomizev1.DisabledValue) + " " + side.where
		case marked(side.object, serverSet, kustomizev1.IgnoreValue):
			return mark(serverSet, kustomizev1.IgnoreValue) + " " + side.where
		}
	}
	if live != nil && marked(desired, serverSet, kustomizev1.IfNotPresentValue) {
		return mark(serverSet, kustomizev1.IfNotPresentValue) + " in the bundle, and the object is there"
	}
	return ""
}

func mark(policy, value string) string { return domain + policy + ": " + value }
