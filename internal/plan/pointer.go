package plan

import (
	"slices"
	"strconv"
	"strings"
)

// segments splits a JSON pointer (RFC 6901); nil for the whole document or for
// what is no pointer.
func segments(pointer string) []string {
	rest, ok := strings.CutPrefix(pointer, "/")
	if !ok {
		return nil
	}
	parts := strings.Split(rest, "/")
	for i, part := range parts {
		parts[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
	}
	return parts
}

// lookup resolves a JSON pointer.
func lookup(value any, pointer string) (any, bool) {
	parts := segments(pointer)
	for _, part := range parts {
		next, ok := descend(value, part)
		if !ok {
			return nil, false
		}
		value = next
	}
	return value, len(parts) > 0
}

func descend(value any, part string) (any, bool) {
	switch v := value.(type) {
	case map[string]any:
		next, ok := v[part]
		return next, ok
	case []any:
		if i, ok := position(v, part); ok {
			return v[i], true
		}
	}
	return nil, false
}

func position(list []any, part string) (int, bool) {
	i, err := strconv.Atoi(part)
	return i, err == nil && i >= 0 && i < len(list)
}

// removePointer takes out what a JSON pointer names; what is not there is gone
// already.
func removePointer(object map[string]any, pointer string) {
	if parts := segments(pointer); len(parts) > 0 {
		edit(object, parts, func(any) (any, bool) { return nil, false })
	}
}

// replacePointer puts a value where a JSON pointer names one; nothing is added
// where there was none.
func replacePointer(object map[string]any, pointer string, value any) {
	if parts := segments(pointer); len(parts) > 0 {
		edit(object, parts, func(any) (any, bool) { return value, true })
	}
}

// edit changes or removes what lies at a path. A list that loses an element is
// written anew into what holds it.
func edit(value any, parts []string, change func(any) (any, bool)) (any, bool) {
	if len(parts) == 0 {
		return change(value)
	}
	switch v := value.(type) {
	case map[string]any:
		child, there := v[parts[0]]
		if !there {
			break
		}
		if changed, keep := edit(child, parts[1:], change); keep {
			v[parts[0]] = changed
		} else {
			delete(v, parts[0])
		}
	case []any:
		i, there := position(v, parts[0])
		if !there {
			break
		}
		changed, keep := edit(v[i], parts[1:], change)
		if !keep {
			return slices.Delete(v, i, i+1), true
		}
		v[i] = changed
	}
	return value, true
}
