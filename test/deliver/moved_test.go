package delivertest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sluice-dev/sluice/internal/labtest"
)

// Objects that move from one Kustomization to another in one push are handed
// over: they are never deleted on the way, whichever of the two runs first.
func TestMovedObjectsStay(t *testing.T) {
	t.Parallel()
	for name, depends := range map[string][]string{"alone": nil, "the giver first": {"a"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := enter(t)
			w.run(labtest.Config(t))
			moved := []string{"moved-0", "moved-1", "moved-2"}
			files := func(owner, version string) map[string]string {
				tree := map[string]string{"a/own.yaml": configMap("own-a", "1"), "b/own.yaml": configMap("own-b", "1")}
				for _, name := range moved {
					tree[owner+"/"+name+".yaml"] = configMap(name, version)
				}
				return tree
			}
			w.publish("push-0@sha1:0", files("a", "0"))
			w.kustomization("a", "a")
			w.kustomization("b", "b", dependsOn(depends...))
			w.ready("push-0@sha1:0")
			seen := w.watch(configMaps)
			for n := 1; n <= 6; n++ {
				owner := []string{"a", "b"}[n%2]
				revision := fmt.Sprintf("push-%d@sha1:%d", n, n)
				w.publish(revision, files(owner, fmt.Sprint(n/2))) // every second push changes nothing but the owner
				w.ready(revision)
				for _, o := range w.labelled("no.group") {
					if slices.Contains(moved, o.GetName()) && o.GetLabels()[ownerName] != owner {
						t.Errorf("%s: %s belongs to %s, want %s", revision, o.GetName(), o.GetLabels()[ownerName], owner)
					}
				}
				w.requested() // what was handed over is in the giver's inventory until it has seen that it was taken
				w.state("")
			}
			if lost := seen.lost(func(string) bool { return true }); len(lost) > 0 {
				t.Errorf("deleted on the way: %v", lost)
			}
			if twice := seen.reborn(); len(twice) > 0 {
				t.Errorf("%v", twice)
			}
		})
	}
}
