package build

import (
	"maps"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// setOwner labels an object with the Kustomization that it belongs to.
func setOwner(u *unstructured.Unstructured, ks *kustomizev1.Kustomization) {
	labels := u.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[kustomizev1.GroupVersion.Group+"/name"] = ks.Name
	labels[kustomizev1.GroupVersion.Group+"/namespace"] = ks.Namespace
	u.SetLabels(labels)
}

// setCommonMetadata adds spec.commonMetadata, which wins over what is there
// (fluxcd/pkg/ssa/utils SetCommonMetadata).
func setCommonMetadata(u *unstructured.Unstructured, with *kustomizev1.CommonMetadata) {
	if with == nil {
		return
	}
	if labels := merged(u.GetLabels(), with.Labels); len(labels) > 0 {
		u.SetLabels(labels)
	}
	if annotations := merged(u.GetAnnotations(), with.Annotations); len(annotations) > 0 {
		u.SetAnnotations(annotations)
	}
}

func merged(have, with map[string]string) map[string]string {
	if have == nil {
		have = map[string]string{}
	}
	maps.Copy(have, with)
	return have
}
