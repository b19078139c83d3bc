package diff

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Fields says how merged differs from live, fields by name and elements in their
// order. Elements of lists are matched by their keys; where they changed places,
// the list is a change from keys to keys. What the server keeps of its own is
// left out: status, managedFields, resourceVersion, generation, uid and
// timestamps. Nil stands for an object that is not there.
func Fields(live, merged *unstructured.Unstructured) []Change {
	d := differ{secret: isSecret(live) || isSecret(merged)}
	d.objects("", shown(live), shown(merged))
	return d.changes
}

// shown is an object without what the server keeps of its own.
func shown(u *unstructured.Unstructured) map[string]any {
	if u == nil {
		return nil
	}
	object := maps.Clone(u.Object)
	delete(object, "status")
	if metadata, ok := object["metadata"].(map[string]any); ok {
		metadata = maps.Clone(metadata)
		for _, name := range []string{"managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink"} {
			delete(metadata, name)
		}
		object["metadata"] = metadata
	}
	return object
}

func isSecret(u *unstructured.Unstructured) bool {
	return u != nil && strings.EqualFold(u.GetKind(), "Secret") && u.GroupVersionKind().Group == ""
}

type differ struct {
	secret  bool
	changes []Change
}

// values compares what lies at a path; nil is what is not there.
func (d *differ) values(path string, old, new any) {
	if apiequality.Semantic.DeepEqual(old, new) {
		return
	}
	oldMap, oldIs := old.(map[string]any)
	newMap, newIs := new.(map[string]any)
	if (oldIs || old == nil) && (newIs || new == nil) && len(oldMap)+len(newMap) > 0 {
		d.objects(path, oldMap, newMap)
		return
	}
	oldList, oldIs := old.([]any)
	newList, newIs := new.([]any)
	if oldIs && newIs {
		d.lists(path, oldList, newList)
		return
	}
	d.add(path, old, new)
}

func (d *differ) objects(path string, old, new map[string]any) {
	names := slices.AppendSeq(slices.Collect(maps.Keys(old)), maps.Keys(new))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		d.values(path+field(name), old[name], new[name])
	}
}

func (d *differ) lists(path string, old, new []any) {
	keys := keysOf(path, old, new)
	if keys == nil {
		for i := range max(len(old), len(new)) {
			d.values(path+"["+strconv.Itoa(i)+"]", at(old, i), at(new, i))
		}
		return
	}
	before, after := keys.index(old), keys.index(new)
	for _, label := range before.order {
		d.values(path+"["+label+"]", before.items[label], after.items[label])
	}
	for _, label := range after.order {
		if _, known := before.items[label]; !known {
			d.add(path+"["+label+"]", nil, after.items[label])
		}
	}
	kept, now := before.orderOf(after), after.orderOf(before)
	if !slices.Equal(kept, now) {
		d.add(path, kept, now)
	}
}

func at(list []any, i int) any {
	if i < len(list) {
		return list[i]
	}
	return nil
}

func (d *differ) add(path string, old, new any) {
	if d.secret && confidential(path) {
		old, new = masked(old), masked(new)
	}
	d.changes = append(d.changes, Change{Path: path, Old: old, New: new})
}

// confidential are the paths of a Secret whose values are not shown. What
// kubectl remembers of a Secret holds all of it.
func confidential(path string) bool {
	for _, prefix := range []string{".data", ".stringData"} {
		if rest, ok := strings.CutPrefix(path, prefix); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return path == ".metadata.annotations"+field(corev1.LastAppliedConfigAnnotation)
}

func masked(value any) any {
	if value == nil {
		return nil
	}
	return Masked
}

// field is a step of a path: .name, or [na.me/with] for what would be ambiguous.
func field(name string) string {
	ambiguous := func(r rune) bool {
		return !(r == '_' || r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z')
	}
	if name == "" || strings.ContainsFunc(name, ambiguous) {
		return "[" + name + "]"
	}
	return "." + name
}
