package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// fieldSet is a FieldsV1: a tree whose keys are "f:" and a field, "k:" and the
// keys of a list element, "v:" and an element of a set, "i:" and an index.
type fieldSet struct{ root fields }

// fields are the children of a path; "." among them, or none at all, means that
// the path itself is in the set.
type fields map[string]any

func parseFields(raw []byte) (fieldSet, error) {
	var root map[string]any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&root); err != nil {
		return fieldSet{}, fmt.Errorf("reading managed fields: %w", err)
	}
	return fieldSet{root}, nil
}

func (f fields) child(key string) (fields, bool) {
	child, ok := f[key].(map[string]any)
	return child, ok && key != "."
}

// leaf tells that a path is owned as a whole.
func (f fields) leaf() bool {
	for key := range f {
		if key != "." {
			return false
		}
	}
	return true
}

// write puts the set and the values at its paths into w. Elements of lists are
// written in the order of the list: their order is part of what is owned.
func (f fields) write(w io.Writer, value any, at place) {
	if f.leaf() {
		if _, isMap := value.(map[string]any); isMap && at.emptyStruct() {
			io.WriteString(w, "struct") // what is in it is not ours
			return
		}
		writeCanonical(w, value)
		return
	}
	if _, member := f["."]; member {
		fmt.Fprintf(w, ".%T", value)
	}
	elements := f.elements(value)
	for _, element := range elements {
		fmt.Fprintf(w, "[%q:", element.key)
		element.fields.write(w, element.value, at)
		io.WriteString(w, "]")
	}
	object, _ := value.(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(f)) {
		child, ok := f.child(key)
		if !ok {
			continue
		}
		if name, isField := strings.CutPrefix(key, "f:"); isField {
			v, there := object[name]
			fmt.Fprintf(w, "{%q:", name)
			if there {
				child.write(w, v, at.field(name))
			} else {
				child.absent(w)
			}
			io.WriteString(w, "}")
		} else if !has(elements, key) {
			fmt.Fprintf(w, "[%q-]", key)
			child.absent(w)
		}
	}
}

// absent writes the set below a path that is not there.
func (f fields) absent(w io.Writer) {
	raw, _ := json.Marshal(f) // decoded from JSON: it marshals, with sorted keys
	fmt.Fprintf(w, "-%s", raw)
}

// covers tells that every value of an object is in the set.
func (s fieldSet) covers(desired *unstructured.Unstructured) bool {
	object := map[string]any{}
	for name, value := range desired.Object {
		switch {
		case name == "apiVersion", name == "kind":
		case name == "status" && desired.GetKind() == "CustomResourceDefinition":
			// The server drops it from what is applied.
		case name == "metadata":
			metadata, ok := value.(map[string]any)
			if !ok {
				return false
			}
			if kept := withoutIdentity(metadata); len(kept) > 0 {
				object[name] = kept
			}
		default:
			object[name] = value
		}
	}
	return len(object) == 0 || s.root.covers(object, emptyStructs(desired))
}

// withoutIdentity leaves out what managedFields never has.
func withoutIdentity(metadata map[string]any) map[string]any {
	kept := maps.Clone(metadata)
	for _, name := range []string{"name", "namespace"} {
		delete(kept, name)
	}
	if kept["creationTimestamp"] == nil { // normalised objects have a null here
		delete(kept, "creationTimestamp")
	}
	return kept
}

func (f fields) covers(value any, at place) bool {
	if f.leaf() {
		object, isMap := value.(map[string]any)
		return !at.emptyStruct() || isMap && len(object) == 0
	}
	switch value := value.(type) {
	case map[string]any:
		for name, v := range value {
			child, ok := f.child("f:" + name)
			if !ok || !child.covers(v, at.field(name)) {
				return false
			}
		}
		_, member := f["."]
		return len(value) > 0 || member
	case []any:
		elements := f.elements(value)
		for _, element := range elements {
			if !element.fields.covers(element.value, at) {
				return false
			}
		}
		_, member := f["."]
		return len(elements) == len(value) && (len(value) > 0 || member)
	}
	return false
}
