package plan

import (
	"maps"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// drifted tells that applying would change an object: its labels, its
// annotations, or anything beside metadata and status
// (pkg/ssa/manager_diff.go hasDrifted).
func drifted(live, merged *unstructured.Unstructured) bool {
	equal := apiequality.Semantic.DeepEqual
	return !equal(live.GetLabels(), merged.GetLabels()) ||
		!equal(live.GetAnnotations(), merged.GetAnnotations()) ||
		!equal(content(live), content(merged))
}

func content(u *unstructured.Unstructured) map[string]any {
	object := maps.Clone(u.Object)
	delete(object, "metadata")
	delete(object, "status")
	return object
}

// settle adapts what is sent where an ignored field drifted and something else
// forces an apply: a field that another manager applied is left out, any other
// is sent as it is live (pkg/ssa/manager_apply.go computeDriftedPaths). A field
// that is not live is left out too. Desired is not changed.
func settle(desired, live, merged *unstructured.Unstructured, paths []string) *unstructured.Unstructured {
	send := desired
	others := appliedByOthers(live)
	for _, path := range paths {
		is, there := lookup(live.Object, path)
		would, wouldBe := lookup(merged.Object, path)
		if there == wouldBe && apiequality.Semantic.DeepEqual(is, would) {
			continue
		}
		if send == desired {
			send = desired.DeepCopy()
		}
		if !there || others.own(live, path) {
			removePointer(send.Object, path)
		} else {
			replacePointer(send.Object, path, deepCopy(is))
		}
	}
	return send
}

func deepCopy(value any) any {
	box := &unstructured.Unstructured{Object: map[string]any{"value": value}}
	return box.DeepCopy().Object["value"]
}
