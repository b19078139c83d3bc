package diff

import (
	"fmt"
	"slices"
	"strings"
)

// keys are the fields that tell the elements of a list apart.
type keys []string

// mergeKeys are the keys that Kubernetes' own kinds use, the most telling first.
var mergeKeys = []keys{
	{"name"}, {"containerPort", "protocol"}, {"port", "protocol"}, {"port"},
	{"mountPath"}, {"devicePath"}, {"key"}, {"topologyKey", "whenUnsatisfiable"},
	{"type"}, {"ip"}, {"uid"}, {"host"},
}

// portKeys go first for ports, whose names are optional.
var portKeys = []keys{{"containerPort", "protocol"}, {"port", "protocol"}}

// keysOf chooses the keys for two states of a list; nil if its elements can only
// be told apart by their places.
func keysOf(path string, old, new []any) keys {
	candidates := mergeKeys
	if strings.HasSuffix(path, ".ports") {
		candidates = slices.Concat(portKeys, mergeKeys)
	}
	for _, k := range candidates {
		if k.fit(old) && k.fit(new) {
			return k
		}
	}
	return nil
}

// fit tells that every element of a list is a map with all the keys, and no two
// have the same.
func (k keys) fit(list []any) bool {
	seen := map[string]bool{}
	for _, item := range list {
		label, ok := k.label(item)
		if !ok || seen[label] {
			return false
		}
		seen[label] = true
	}
	return true
}

// label is an element's key as paths show it: name=app.
func (k keys) label(item any) (string, bool) {
	object, ok := item.(map[string]any)
	if !ok {
		return "", false
	}
	parts := make([]string, len(k))
	for i, name := range k {
		value, there := object[name]
		if !there && name == "protocol" {
			value = "TCP" // what the server fills in
		}
		switch value.(type) {
		case nil, map[string]any, []any:
			return "", false
		}
		parts[i] = fmt.Sprintf("%s=%v", name, value)
	}
	return strings.Join(parts, ","), true
}

// indexed is a list by its labels.
type indexed struct {
	order []string
	items map[string]any
}

func (k keys) index(list []any) indexed {
	x := indexed{items: make(map[string]any, len(list))}
	for _, item := range list {
		label, _ := k.label(item)
		x.order = append(x.order, label)
		x.items[label] = item
	}
	return x
}

// orderOf are the labels that both have, in the order of x.
func (x indexed) orderOf(other indexed) []any {
	var order []any
	for _, label := range x.order {
		if _, ok := other.items[label]; ok {
			order = append(order, label)
		}
	}
	return order
}
