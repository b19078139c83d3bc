package cluster

import (
	"maps"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/internal/plan"
)

var (
	us   = plan.Owner{Namespace: "ns", Name: "us"}
	them = plan.Owner{Namespace: "ns", Name: "them"}
	key  = types.NamespacedName{Namespace: "ns", Name: "a"}
)

// known is an index, with whom it told and what it asked for.
type known struct {
	*index
	told  map[plan.Owner]int
	asked int
}

func newKnown() *known {
	k := &known{told: map[plan.Owner]int{}}
	k.index = newIndex(nil, func(o plan.Owner) { k.told[o]++ }, func(types.NamespacedName) { k.asked++ })
	return k
}

func state(version int, uid, digest string, owner plan.Owner) sighting {
	return sighting{record: plan.Record{UID: uid, ResourceVersion: strconv.Itoa(version), OwnedDigest: digest, Owner: owner}}
}

// written is what the server returns of a write of ours.
func written(version int, uid, value string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"key": value},
		"metadata": map[string]any{
			"name": "a", "namespace": "ns", "uid": uid, "resourceVersion": strconv.Itoa(version),
			"labels": map[string]any{"kustomize.toolkit.fluxcd.io/name": "us", "kustomize.toolkit.fluxcd.io/namespace": "ns"},
		},
	}}
}

func TestIndexTellsWhomItConcerns(t *testing.T) {
	zero := time.Time{}
	tests := []struct {
		name  string
		do    func(k *known)
		told  map[plan.Owner]int
		asked int
	}{
		{"the same again", func(k *known) { k.seen(key, state(11, "u", "x", us), zero) }, nil, 0},
		{"other values", func(k *known) { k.seen(key, state(11, "u", "y", us), zero) }, map[plan.Owner]int{us: 1}, 0},
		{"older values", func(k *known) { k.seen(key, state(9, "u", "y", us), zero) }, nil, 0},
		{"another owner", func(k *known) { k.seen(key, state(11, "u", "x", them), zero) }, map[plan.Owner]int{us: 1, them: 1}, 0},
		{"gone", func(k *known) { k.gone(key, "11") }, map[plan.Owner]int{us: 1}, 0},
		{"gone before it was written", func(k *known) { k.gone(key, "9") }, nil, 1},
		{"gone, and old news of it", func(k *known) {
			k.gone(key, "20")
			k.seen(key, state(15, "u", "y", us), zero)
		}, map[plan.Owner]int{us: 1}, 0},
		{"not in a list", func(k *known) { k.replace(nil, "12", time.Now()) }, map[plan.Owner]int{us: 1}, 0},
		{"not in an older list", func(k *known) { k.replace(nil, "9", time.Now()) }, nil, 0},
		{"our own write, its event first", func(k *known) {
			done := k.write(key)
			k.seen(key, state(12, "u", "y", us), zero)
			done(written(12, "u", "y"), "d")
		}, nil, 0},
		{"our own write, and another after it", func(k *known) {
			done := k.write(key)
			k.seen(key, state(13, "u", "z", us), zero)
			done(written(12, "u", "y"), "d")
		}, map[plan.Owner]int{us: 1}, 0},
		{"drift while our write fails", func(k *known) {
			done := k.write(key)
			k.seen(key, state(13, "u", "z", us), zero)
			done(nil, "")
		}, map[plan.Owner]int{us: 1}, 0},
		{"deleted while our write fails", func(k *known) {
			done := k.write(key)
			k.gone(key, "13")
			done(nil, "")
		}, map[plan.Owner]int{us: 1}, 0},
		{"deleted and written again by us", func(k *known) {
			done := k.write(key)
			k.gone(key, "13")
			done(written(14, "v", "y"), "d")
		}, nil, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			k := newKnown()
			k.fill(map[types.NamespacedName]sighting{key: state(10, "u", "x", us)}, time.Now())
			test.do(k)
			if test.told == nil {
				test.told = map[plan.Owner]int{}
			}
			if diff := cmp.Diff(test.told, k.told); diff != "" {
				t.Errorf("told (-want +got): %s", diff)
			}
			if k.asked != test.asked {
				t.Errorf("asked the server %d times, want %d", k.asked, test.asked)
			}
		})
	}
}

// Another object of the same name has none of the first one's past.
func TestRecreatedObjectIsNotConverged(t *testing.T) {
	k := newKnown()
	k.write(key)(written(12, "u", "y"), "d")
	if e, _ := k.get(key); e.applied.Desired != "d" {
		t.Fatalf("%+v", e.applied)
	}
	k.seen(key, state(20, "v", "", us), time.Time{})
	if e, _ := k.get(key); e.applied != (plan.Applied{}) {
		t.Errorf("%+v", e.applied)
	}
}

// However lists and events of one history are mixed, as long as each of both is
// in order, the index ends where the history ends.
func TestIndexFollowsHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// The history: at each version, the objects there are.
		length := rapid.IntRange(1, 20).Draw(t, "length")
		worlds := []map[types.NamespacedName]sighting{{}} // before the first change, at version 1
		type change struct {
			key  types.NamespacedName
			s    sighting
			gone bool
		}
		changes := []change{{}}
		for version := 1; version <= length; version++ {
			now := maps.Clone(worlds[version-1])
			key := types.NamespacedName{Name: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name")}
			c := change{key: key}
			switch old, there := now[key]; {
			case there && rapid.Bool().Draw(t, "delete"):
				c.gone, c.s = true, state(version+1, old.record.UID, "", us)
				delete(now, key)
			case there:
				c.s = state(version+1, old.record.UID, strconv.Itoa(version), us)
				now[key] = c.s
			default:
				c.s = state(version+1, strconv.Itoa(version), strconv.Itoa(version), us)
				now[key] = c.s
			}
			worlds, changes = append(worlds, now), append(changes, c)
		}
		k := newKnown()
		at := rapid.IntRange(0, length).Draw(t, "first list")
		k.fill(worlds[at], time.Now())
		next, listed := at+1, at
		for next <= length {
			if rapid.Bool().Draw(t, "verify") {
				listed = rapid.IntRange(listed, length).Draw(t, "list")
				k.replace(worlds[listed], strconv.Itoa(listed+1), time.Now())
				continue
			}
			c := changes[next]
			if c.gone {
				k.gone(c.key, c.s.record.ResourceVersion)
			} else {
				k.seen(c.key, c.s, time.Time{})
			}
			next++
		}
		for _, name := range []string{"a", "b"} {
			key := types.NamespacedName{Name: name}
			e, there := k.get(key)
			want, wanted := worlds[length][key]
			if there != wanted || there && e.record.ResourceVersion != want.record.ResourceVersion {
				t.Fatalf("%s: there %v %+v, want %v %+v", name, there, e.record, wanted, want.record)
			}
		}
	})
}

// Everything that a record remembers and that somebody may act upon is news.
func TestNews(t *testing.T) {
	old := plan.Record{UID: "u", ResourceVersion: "1", Owner: us, OwnedDigest: "x", Fields: []byte("f")}
	for name, change := range map[string]func(*plan.Record){
		"deletion": func(r *plan.Record) { r.Deleting = true },
		"foreign":  func(r *plan.Record) { r.Foreign = true },
		"fields":   func(r *plan.Record) { r.Fields = []byte("g") },
		"version":  func(r *plan.Record) { r.FieldsVersion = "v2" },
		"policy":   func(r *plan.Record) { r.Policy = map[string]string{"reconcile": "disabled"} },
		"health":   func(r *plan.Record) { r.Health.Status = "Failed" },
		"another":  func(r *plan.Record) { r.UID = "v" },
	} {
		now := old
		change(&now)
		if got := differ(old, now); !cmp.Equal(got, []plan.Owner{us}) {
			t.Errorf("%s: told %v", name, got)
		}
	}
	now := old
	now.ResourceVersion, now.Generation = "2", 7
	if got := differ(old, now); got != nil {
		t.Errorf("told %v of nothing", got)
	}
}
