package delivertest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/internal/labtest"
)

// A chain of trivially healthy Kustomizations rolls out without waiting for a
// clock: each begins when the one before it is Ready.
func TestAChainDoesNotWaitForClocks(t *testing.T) {
	const links = 6
	w := enter(t)
	e := w.run(labtest.Config(t))
	files := func(version int) map[string]string {
		tree := map[string]string{}
		for i := range links {
			for j := range 2 {
				name := fmt.Sprintf("link-%d-%d", i, j)
				tree[fmt.Sprintf("link-%d/%s.yaml", i, name)] = configMap(name, fmt.Sprint(version))
			}
		}
		return tree
	}
	for i := range links {
		name := fmt.Sprintf("link-%d", i)
		if i == 0 {
			w.kustomization(name, name)
			continue
		}
		w.kustomization(name, name, dependsOn(fmt.Sprintf("link-%d", i-1)))
	}
	for version, what := range []string{1: "install", 2: "upgrade"} {
		if version == 0 {
			continue
		}
		revision := fmt.Sprintf("v%d@sha1:%d", version, version)
		seen := len(e.told())
		began := time.Now()
		w.publish(revision, files(version))
		w.ready(revision)
		took := time.Since(began)
		t.Logf("%s of a chain of %d: %s", what, links, took.Round(time.Millisecond))
		if took > 15*time.Second {
			t.Errorf("%s took %s", what, took)
		}
		delivered, planned := map[string]time.Time{}, map[string]time.Time{}
		for _, got := range e.told()[seen:] {
			switch {
			case got.Delivered != nil && got.Delivered.Revision == revision:
				delivered[got.Object.Name] = got.At
			case got.Planned != nil && got.Planned.Revision == revision:
				planned[got.Object.Name] = got.At
			}
		}
		var gaps []time.Duration
		for i := 1; i < links; i++ {
			name, before := fmt.Sprintf("link-%d", i), fmt.Sprintf("link-%d", i-1)
			gap := planned[name].Sub(delivered[before])
			t.Logf("%s: %s began %s after %s was Ready", what, name, gap.Round(time.Millisecond), before)
			if planned[name].IsZero() || delivered[before].IsZero() || gap < 0 {
				t.Errorf("%s: %s was planned at %s, %s delivered at %s", what, name, planned[name], before, delivered[before])
			}
			gaps = append(gaps, gap)
		}
		// A loaded machine may be slow once; a clock would be every time.
		if slices.Sort(gaps); gaps[len(gaps)/2] > time.Second || gaps[len(gaps)-1] > 5*time.Second {
			t.Errorf("%s: dependents begin after %s", what, gaps)
		}
	}
}
