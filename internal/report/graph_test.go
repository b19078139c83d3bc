package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	"pgregory.net/rapid"
)

// Whatever depends on whatever: each Kustomization is drawn once, below
// something that it needs, and all that it needs is named or drawn above it.
func TestAnyGraphIsDrawnOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		needs := rapid.MapOf(rapid.IntRange(0, 7), rapid.SliceOfN(rapid.IntRange(0, 7), 0, 4)).Draw(t, "needs")
		var s Snapshot
		for name, list := range needs {
			ks := &kustomizev1.Kustomization{}
			ks.Namespace, ks.Name = "ns", fmt.Sprint("k", name)
			for _, need := range list {
				ks.Spec.DependsOn = append(ks.Spec.DependsOn, meta.DependencyReference{Name: fmt.Sprint("k", need)})
			}
			s.Kustomizations = append(s.Kustomizations, ks)
		}
		g := GraphOf(s, "")
		drawn := strings.Join(g.Lines(Style{}, noon), "\n")
		for _, n := range g.Nodes {
			rows := slices.DeleteFunc(strings.Split(drawn, "\n"), func(line string) bool {
				fields := strings.Fields(strings.Trim(line, "│├└─ "))
				return len(fields) < 2 || fields[0] != n.Name || strings.Contains(line, "holds up") || strings.HasPrefix(line, "cycle")
			})
			if len(rows) != 1 {
				t.Fatalf("%s is drawn %d times:\n%s", n.Name, len(rows), drawn)
			}
		}
		children, also := g.placed()
		for _, n := range g.Nodes {
			for _, need := range n.Needs {
				below, beside := slices.Contains(children[need], n.Key()), slices.Contains(also[n.Key()], need)
				if !below && !beside && !(g.inCycle(n.Key()) && g.inCycle(need)) {
					t.Fatalf("nothing says that %s needs %s:\n%s", n.Name, need, drawn)
				}
			}
		}
	})
}
