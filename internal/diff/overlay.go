package diff

import (
	"maps"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Overlay is what applying desired would roughly make of live: what desired says
// replaces what is there, element by element in lists with keys, and nothing is
// removed. It stands in for a dry-run where none can be had.
func Overlay(live, desired *unstructured.Unstructured) *unstructured.Unstructured {
	over := shown(desired)
	base := live.DeepCopy()
	return &unstructured.Unstructured{Object: overlayMap("", base.Object, (&unstructured.Unstructured{Object: over}).DeepCopy().Object)}
}

func overlayMap(path string, base, over map[string]any) map[string]any {
	merged := maps.Clone(base)
	for name, value := range over {
		merged[name] = overlayValue(path+field(name), merged[name], value)
	}
	return merged
}

func overlayValue(path string, base, over any) any {
	switch over := over.(type) {
	case nil:
		return base
	case map[string]any:
		if base, ok := base.(map[string]any); ok {
			return overlayMap(path, base, over)
		}
	case []any:
		if base, ok := base.([]any); ok {
			return overlayList(path, base, over)
		}
	}
	return over
}

func overlayList(path string, base, over []any) []any {
	k := keysOf(path, base, over)
	if k == nil {
		return over
	}
	known, wanted := k.index(base), k.index(over)
	merged := make([]any, 0, len(base))
	for _, label := range known.order {
		value := known.items[label]
		if want, ok := wanted.items[label]; ok {
			value = overlayValue(path+"["+label+"]", value, want)
		}
		merged = append(merged, value)
	}
	for _, label := range wanted.order {
		if _, ok := known.items[label]; !ok {
			merged = append(merged, wanted.items[label])
		}
	}
	return merged
}
