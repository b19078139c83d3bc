// Package inventory is the set of objects that a Kustomization owns.
//
// In: IDs, or Flux's status.inventory. Out: sets, their union and difference,
// and Flux's wire form (kustomize-controller internal/inventory, cli-utils
// object.ObjMetadata). It is a value: no operation changes its operands.
package inventory

import (
	"fmt"
	"slices"
	"strings"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"

	"github.com/sluice-dev/sluice/internal/object"
)

// Entry is an owned object with the version it was applied in.
type Entry struct {
	object.ID
	Version string
}

// Inventory is a set of entries, one for each ID.
type Inventory struct{ entries map[object.ID]string }

// Of makes an inventory. The last of two entries with one ID wins.
func Of(entries ...Entry) Inventory {
	inv := Inventory{entries: make(map[object.ID]string, len(entries))}
	for _, e := range entries {
		inv.entries[e.ID] = e.Version
	}
	return inv
}

// Len is the number of objects.
func (inv Inventory) Len() int { return len(inv.entries) }

// Has tells whether an object is in the inventory.
func (inv Inventory) Has(id object.ID) bool {
	_, found := inv.entries[id]
	return found
}

// Entries lists the objects in the order of their IDs.
func (inv Inventory) Entries() []Entry {
	list := make([]Entry, 0, len(inv.entries))
	for id, version := range inv.entries {
		list = append(list, Entry{ID: id, Version: version})
	}
	slices.SortFunc(list, func(a, b Entry) int { return a.Compare(b.ID) })
	return list
}

// IDs lists the objects in order.
func (inv Inventory) IDs() []object.ID {
	ids := make([]object.ID, 0, len(inv.entries))
	for id := range inv.entries {
		ids = append(ids, id)
	}
	return object.Sorted(ids)
}

// Union has the objects of both; versions are the other's where both know one.
func (inv Inventory) Union(other Inventory) Inventory {
	return Of(append(inv.Entries(), other.Entries()...)...)
}

// Minus has the objects that the other has not.
func (inv Inventory) Minus(other Inventory) Inventory {
	var left []Entry
	for id, version := range inv.entries {
		if !other.Has(id) {
			left = append(left, Entry{ID: id, Version: version})
		}
	}
	return Of(left...)
}

// Equal tells whether both have the same objects in the same versions.
func (inv Inventory) Equal(other Inventory) bool {
	return slices.Equal(inv.Entries(), other.Entries())
}

// Names in RBAC may have colons, which the wire form has no room for.
const (
	separator = "_"
	colon     = "__"
	rbacGroup = "rbac.authorization.k8s.io"
)

// Key is the wire form of an ID: namespace_name_group_kind.
func Key(id object.ID) string {
	name := id.Name
	if id.Group == rbacGroup {
		name = strings.ReplaceAll(name, ":", colon)
	}
	return strings.Join([]string{id.Namespace, name, id.Group, id.Kind}, separator)
}

// ParseKey reads the wire form of an ID.
func ParseKey(key string) (object.ID, error) {
	bad := fmt.Errorf("%q is no inventory entry: want namespace_name_group_kind", key)
	namespace, rest, ok := strings.Cut(key, separator)
	if !ok {
		return object.ID{}, bad
	}
	rest, kind, ok := cutLast(rest)
	if !ok {
		return object.ID{}, bad
	}
	name, group, ok := cutLast(rest)
	if !ok || name == "" || kind == "" {
		return object.ID{}, bad
	}
	return object.ID{Group: group, Kind: kind, Namespace: namespace, Name: strings.ReplaceAll(name, colon, ":")}, nil
}

func cutLast(text string) (before, after string, found bool) {
	i := strings.LastIndex(text, separator)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(separator):], true
}

// Read takes an inventory out of a status. Entries that cannot be read are an
// error: leaving them out would forget objects.
func Read(from *kustomizev1.ResourceInventory) (Inventory, error) {
	if from == nil {
		return Of(), nil
	}
	entries := make([]Entry, 0, len(from.Entries))
	for _, e := range from.Entries {
		id, err := ParseKey(e.ID)
		if err != nil {
			return Of(), err
		}
		entries = append(entries, Entry{ID: id, Version: e.Version})
	}
	return Of(entries...), nil
}

// Write gives the form of a status.
func (inv Inventory) Write() *kustomizev1.ResourceInventory {
	to := &kustomizev1.ResourceInventory{Entries: []kustomizev1.ResourceRef{}}
	for _, e := range inv.Entries() {
		to.Entries = append(to.Entries, kustomizev1.ResourceRef{ID: Key(e.ID), Version: e.Version})
	}
	return to
}
