package inventory_test

import (
	"testing"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/internal/inventory"
	"github.com/sluice-dev/sluice/internal/object"
)

// The wire form is Flux's: namespace_name_group_kind, with colons of RBAC names
// as two underscores.
func TestKey(t *testing.T) {
	for key, id := range map[string]object.ID{
		"apps_web_apps_Deployment":                            {Group: "apps", Kind: "Deployment", Namespace: "apps", Name: "web"},
		"_apps__Namespace":                                    {Kind: "Namespace", Name: "apps"},
		"_system__view_rbac.authorization.k8s.io_ClusterRole": {Group: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: "system:view"},
	} {
		if got := inventory.Key(id); got != key {
			t.Errorf("%v is written %q, want %q", id, got, key)
		}
		if got, err := inventory.ParseKey(key); err != nil || got != id {
			t.Errorf("%q is read %v, %v", key, got, err)
		}
	}
	for _, bad := range []string{"", "a", "a_b", "a_b_c", "ns__group_Kind", "ns_name_group_"} {
		if id, err := inventory.ParseKey(bad); err == nil {
			t.Errorf("%q is read %v", bad, id)
		}
	}
}

// Forgetting what cannot be read would leave objects behind.
func TestReadFailsOnWhatItCannotRead(t *testing.T) {
	_, err := inventory.Read(&kustomizev1.ResourceInventory{Entries: []kustomizev1.ResourceRef{{ID: "nonsense", Version: "v1"}}})
	if err == nil {
		t.Error("an unreadable entry was left out")
	}
}

func TestSets(t *testing.T) {
	gen := rapid.Custom(func(t *rapid.T) inventory.Inventory {
		entry := rapid.Custom(func(t *rapid.T) inventory.Entry {
			return inventory.Entry{Version: "v1", ID: object.ID{
				Group: rapid.SampledFrom([]string{"", "apps", "rbac.authorization.k8s.io"}).Draw(t, "group"), Kind: "Kind",
				Namespace: rapid.SampledFrom([]string{"", "a"}).Draw(t, "namespace"), Name: rapid.StringMatching(`[a-c](-[a-c])?`).Draw(t, "name"),
			}}
		})
		return inventory.Of(rapid.SliceOfN(entry, 0, 8).Draw(t, "entries")...)
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := gen.Draw(t, "a"), gen.Draw(t, "b")
		both, left := a.Union(b), a.Minus(b)
		for _, id := range both.IDs() {
			if !a.Has(id) && !b.Has(id) || left.Has(id) != (a.Has(id) && !b.Has(id)) {
				t.Fatalf("%v of %v and %v", id, a.Entries(), b.Entries())
			}
		}
		if both.Len() != left.Len()+b.Len() || !b.Union(a).Equal(both) {
			t.Fatalf("union %v, minus %v", both.Entries(), left.Entries())
		}
		again, err := inventory.Read(both.Write())
		if diff := cmp.Diff(both.Entries(), again.Entries()); err != nil || diff != "" {
			t.Fatal(err, diff)
		}
	})
}
