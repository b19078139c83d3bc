package plan

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// element is an element of a list that a set of fields names.
type element struct {
	key    string
	fields fields
	value  any
}

func has(elements []element, key string) bool {
	return slices.ContainsFunc(elements, func(e element) bool { return e.key == key })
}

// elements finds the elements of a list that the set names, in the order of the
// list.
func (f fields) elements(value any) []element {
	list, ok := value.([]any)
	if !ok {
		return nil
	}
	index := f.index()
	var found []element
	for i, item := range list {
		if e, ok := index.find(i, item); ok {
			e.value = item
			found = append(found, e)
		}
	}
	return found
}

// elementIndex finds the child of a set that names an element.
type elementIndex struct {
	byKeys  map[string]element // canonical keys
	byValue map[string]element // canonical value
	byIndex map[int]element
	names   [][]string // the sets of key names in use, mostly one
}

func (f fields) index() elementIndex {
	index := elementIndex{byKeys: map[string]element{}, byValue: map[string]element{}, byIndex: map[int]element{}}
	for key := range f {
		child, ok := f.child(key)
		if !ok {
			continue
		}
		e := element{key: key, fields: child}
		kind, text, _ := strings.Cut(key, ":")
		switch kind {
		case "k":
			var keys map[string]any
			if decode(text, &keys) != nil {
				continue
			}
			index.byKeys[canonical(keys)] = e
			names := slices.Sorted(maps.Keys(keys))
			if !slices.ContainsFunc(index.names, func(n []string) bool { return slices.Equal(n, names) }) {
				index.names = append(index.names, names)
			}
		case "v":
			var v any
			if decode(text, &v) == nil {
				index.byValue[canonical(v)] = e
			}
		case "i":
			if i, err := strconv.Atoi(text); err == nil {
				index.byIndex[i] = e
			}
		}
	}
	slices.SortFunc(index.names, slices.Compare)
	return index
}

func (index elementIndex) find(at int, item any) (element, bool) {
	if object, ok := item.(map[string]any); ok {
		for _, names := range index.names {
			keys := map[string]any{}
			for _, name := range names {
				if v, there := object[name]; there {
					keys[name] = v
				}
			}
			if e, ok := index.byKeys[canonical(keys)]; ok {
				return e, true
			}
		}
	}
	if len(index.byValue) > 0 {
		if e, ok := index.byValue[canonical(item)]; ok {
			return e, true
		}
	}
	e, ok := index.byIndex[at]
	return e, ok
}

func decode(text string, into any) error {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(into)
}
