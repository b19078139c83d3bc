package plan

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/merge"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

// The model of an API server is the library that the API server itself merges
// with, and a schema with one of each kind of field.
const modelSchema = `types:
- name: object
  map:
    fields:
    - {name: apiVersion, type: {scalar: string}}
    - {name: kind, type: {scalar: string}}
    - {name: metadata, type: {namedType: metadata}}
    - {name: spec, type: {namedType: spec}}
- name: metadata
  map:
    fields:
    - {name: name, type: {scalar: string}}
    - {name: namespace, type: {scalar: string}}
    - {name: labels, type: {map: {elementType: {scalar: string}}}}
    - {name: annotations, type: {map: {elementType: {scalar: string}}}}
- name: spec
  map:
    fields:
    - {name: replicas, type: {scalar: numeric}}
    - {name: strategy, type: {namedType: strategy}}
    - {name: items, type: {list: {elementRelationship: associative, keys: [name], elementType: {namedType: item}}}}
    - {name: tags, type: {list: {elementRelationship: associative, elementType: {scalar: string}}}}
    - {name: args, type: {list: {elementRelationship: atomic, elementType: {scalar: string}}}}
    - {name: selector, type: {map: {elementRelationship: atomic, elementType: {scalar: string}}}}
- name: strategy
  map:
    fields:
    - {name: type, type: {scalar: string}}
    - {name: rate, type: {scalar: numeric}}
- name: item
  map:
    fields:
    - {name: name, type: {scalar: string}}
    - {name: size, type: {scalar: numeric}}
    - {name: options, type: {map: {elementRelationship: atomic, elementType: {scalar: string}}}}
`

type model struct {
	kind    typed.ParseableType
	updater *merge.Updater
}

func newModel() model {
	parser, err := typed.NewParser(modelSchema)
	if err != nil {
		panic(err)
	}
	return model{parser.Type("object"), (&merge.UpdaterBuilder{Converter: same{}, ReturnInputOnNoop: true}).BuildUpdater()}
}

type same struct{}

func (same) Convert(object *typed.TypedValue, _ fieldpath.APIVersion) (*typed.TypedValue, error) {
	return object, nil
}
func (same) IsMissingVersionError(error) bool { return false }

func (m model) typed(u *unstructured.Unstructured) *typed.TypedValue {
	object := map[string]any{}
	if u != nil {
		object = u.DeepCopy().Object
		if metadata, ok := object["metadata"].(map[string]any); ok {
			for _, name := range []string{"managedFields", "uid", "resourceVersion"} {
				delete(metadata, name)
			}
		}
	}
	value, err := m.kind.FromUnstructured(object)
	if err != nil {
		panic(err)
	}
	return value
}

// write applies, or updates, as the API server does.
func (m model) write(live, config *unstructured.Unstructured, manager string, apply bool) *unstructured.Unstructured {
	managers := fieldpath.ManagedFields{}
	uid := "uid-of-" + config.GetName()
	if live != nil {
		uid = string(live.GetUID())
		for _, entry := range live.GetManagedFields() {
			set, _ := setOf(entry)
			managers[entry.Manager+"/"+string(entry.Operation)] = fieldpath.NewVersionedSet(set, "v1", entry.Operation == metav1.ManagedFieldsOperationApply)
		}
	}
	value, operation, run := m.typed(config), metav1.ManagedFieldsOperationUpdate, m.updater.Update
	if apply {
		operation = metav1.ManagedFieldsOperationApply
		run = func(live, config *typed.TypedValue, version fieldpath.APIVersion, managers fieldpath.ManagedFields, manager string) (*typed.TypedValue, fieldpath.ManagedFields, error) {
			return m.updater.Apply(live, config, version, managers, manager, true)
		}
	}
	merged, managers, err := run(m.typed(live), value, "v1", managers, manager+"/"+string(operation))
	if err != nil {
		panic(err)
	}
	after := &unstructured.Unstructured{Object: merged.AsValue().Unstructured().(map[string]any)}
	after = after.DeepCopy()
	after.SetUID(types.UID(uid))
	after.SetResourceVersion("1")
	after.SetManagedFields(entriesOf(managers))
	return after
}

func entriesOf(managers fieldpath.ManagedFields) []metav1.ManagedFieldsEntry {
	identity := fieldpath.NewSet(
		fieldpath.MakePathOrDie("apiVersion"), fieldpath.MakePathOrDie("kind"), fieldpath.MakePathOrDie("metadata"),
		fieldpath.MakePathOrDie("metadata", "name"), fieldpath.MakePathOrDie("metadata", "namespace"))
	var entries []metav1.ManagedFieldsEntry
	for name, set := range managers {
		left := set.Set().Difference(identity)
		if left.Empty() {
			continue
		}
		raw, err := left.ToJSON()
		if err != nil {
			panic(err)
		}
		manager, operation, _ := strings.Cut(name, "/")
		entries = append(entries, metav1.ManagedFieldsEntry{Manager: manager, Operation: metav1.ManagedFieldsOperationType(operation),
			APIVersion: "apps/v1", FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(string(raw))})
	}
	slices.SortFunc(entries, func(a, b metav1.ManagedFieldsEntry) int {
		return strings.Compare(a.Manager+string(a.Operation), b.Manager+string(b.Operation))
	})
	return entries
}

// someObject draws a wanted object; few values, so that two often agree.
func someObject(t *rapid.T, name, label string) *unstructured.Unstructured {
	word := rapid.SampledFrom([]string{"a", "b", "c"})
	number := rapid.Int64Range(0, 2)
	words := rapid.MapOfN(word, word, 0, 2)
	some := func(part string) bool { return rapid.Bool().Draw(t, label+part) }
	stringMap := func(part string) map[string]any {
		m := map[string]any{}
		for k, v := range words.Draw(t, label+part) {
			m[k] = v
		}
		return m
	}
	list := func(part string) []any {
		l := []any{}
		for _, w := range rapid.SliceOfNDistinct(word, 0, 3, rapid.ID).Draw(t, label+part) {
			l = append(l, w)
		}
		return l
	}
	spec := map[string]any{}
	if some("replicas?") {
		spec["replicas"] = number.Draw(t, label+"replicas")
	}
	if some("strategy?") {
		strategy := map[string]any{}
		if some("type?") {
			strategy["type"] = word.Draw(t, label+"type")
		}
		if some("rate?") {
			strategy["rate"] = number.Draw(t, label+"rate")
		}
		spec["strategy"] = strategy
	}
	if some("items?") {
		items := []any{}
		for i, w := range list("items") {
			item := map[string]any{"name": w}
			if some(fmt.Sprint("size?", i)) {
				item["size"] = number.Draw(t, fmt.Sprint(label, "size", i))
			}
			if some(fmt.Sprint("options?", i)) {
				item["options"] = stringMap(fmt.Sprint("options", i))
			}
			items = append(items, item)
		}
		spec["items"] = items
	}
	if some("tags?") {
		spec["tags"] = list("tags")
	}
	if some("args?") {
		spec["args"] = list("args")
	}
	if some("selector?") {
		spec["selector"] = stringMap("selector")
	}
	metadata := map[string]any{"name": name, "namespace": "ns"}
	if some("labels?") {
		metadata["labels"] = stringMap("labels")
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}}
}
