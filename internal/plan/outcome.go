package plan

import (
	"bytes"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// outcome is what is live after the clean-up and the apply. A dry-run before the
// clean-up does not show what goes because it becomes ours and is not wanted:
// that is worked out from the sets of fields.
func (c cleanup) outcome(merged *unstructured.Unstructured) *unstructured.Unstructured {
	if len(c.removed)+len(c.takenOver) == 0 {
		return merged
	}
	after := merged.DeepCopy()
	for _, part := range []string{"labels", "annotations"} {
		for _, key := range c.removed {
			unstructured.RemoveNestedField(after.Object, "metadata", part, key)
		}
	}
	wanted, ok := ownSet(merged)
	if !ok || len(c.takenOver) == 0 {
		return after
	}
	var gone []fieldpath.Path
	lost(c.live.GetManagedFields(), wanted).Iterate(func(p fieldpath.Path) { gone = append(gone, p.Copy()) })
	slices.SortFunc(gone, func(a, b fieldpath.Path) int { return a.Compare(b) }) // an element before its fields
	for _, path := range gone {
		prunePath(after.Object, path)
	}
	return after
}

// lost are the fields that become ours, are not wanted, and belong to no other.
func lost(entries []metav1.ManagedFieldsEntry, wanted *fieldpath.Set) *fieldpath.Set {
	own := fieldpath.NewSet()
	kept := wanted
	for i, entry := range entries {
		set, ok := setOf(entry)
		switch at, found := ownEntry(entries); {
		case !ok:
		case found && i == at:
			own = set
		default:
			kept = kept.Union(set)
		}
	}
	return own.Difference(withParents(kept))
}

// withParents adds what holds the fields of a set: it stays as long as they do.
func withParents(set *fieldpath.Set) *fieldpath.Set {
	all := fieldpath.NewSet()
	set.Iterate(func(p fieldpath.Path) {
		for i := range p {
			all.Insert(p[:i+1].Copy())
		}
	})
	return all
}

func ownSet(u *unstructured.Unstructured) (*fieldpath.Set, bool) {
	entries := u.GetManagedFields()
	at, found := ownEntry(entries)
	if !found {
		return nil, false
	}
	return setOf(entries[at])
}

func setOf(entry metav1.ManagedFieldsEntry) (*fieldpath.Set, bool) {
	set := fieldpath.NewSet()
	if entry.FieldsV1 == nil || set.FromJSON(bytes.NewReader(entry.FieldsV1.GetRawBytes())) != nil {
		return nil, false
	}
	return set, true
}

func isEmpty(value any) bool {
	switch v := value.(type) {
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}

// prunePath removes what lies at a path, and what is empty then.
func prunePath(value any, path fieldpath.Path) any {
	step, last := path[0], len(path) == 1
	switch v := value.(type) {
	case map[string]any:
		if step.FieldName == nil {
			break
		}
		child, there := v[*step.FieldName]
		if !there {
			break
		}
		if !last {
			child = prunePath(child, path[1:])
			v[*step.FieldName] = child
		}
		if last || isEmpty(child) {
			delete(v, *step.FieldName)
		}
	case []any:
		i := slices.IndexFunc(v, func(item any) bool { return named(item, step) })
		if i < 0 {
			break
		}
		if last {
			return slices.Delete(v, i, i+1)
		}
		v[i] = prunePath(v[i], path[1:])
	}
	return value
}

// named tells whether a step of a path names an element of a list.
func named(item any, step fieldpath.PathElement) bool {
	switch object, isMap := item.(map[string]any); {
	case step.Key != nil && isMap:
		for _, key := range *step.Key {
			if canonical(object[key.Name]) != canonical(key.Value.Unstructured()) {
				return false
			}
		}
		return true
	case step.Value != nil:
		return canonical(item) == canonical((*step.Value).Unstructured())
	}
	return false
}
