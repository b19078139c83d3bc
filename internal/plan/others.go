package plan

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// otherSets are the fields that managers other than ours applied.
type otherSets []fieldSet

func appliedByOthers(live *unstructured.Unstructured) otherSets {
	var sets otherSets
	for _, entry := range live.GetManagedFields() {
		if entry.Manager == Manager || entry.Operation != metav1.ManagedFieldsOperationApply || entry.Subresource != "" || entry.FieldsV1 == nil {
			continue
		}
		if set, err := parseFields(entry.FieldsV1.GetRawBytes()); err == nil {
			sets = append(sets, set)
		}
	}
	return sets
}

// own tells whether one of the sets has a JSON pointer.
func (sets otherSets) own(live *unstructured.Unstructured, pointer string) bool {
	for _, set := range sets {
		if set.root.has(live.Object, segments(pointer)) {
			return true
		}
	}
	return false
}

func (f fields) has(value any, parts []string) bool {
	if len(parts) == 0 {
		return true
	}
	next, ok := descend(value, parts[0])
	if !ok {
		return false
	}
	child, found := f.child("f:" + parts[0])
	if list, isList := value.([]any); isList {
		at, _ := position(list, parts[0])
		var e element
		e, found = f.index().find(at, list[at])
		child = e.fields
	}
	return found && child.has(next, parts[1:])
}
