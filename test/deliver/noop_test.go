package delivertest

import (
	"fmt"
	"testing"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/google/go-cmp/cmp"
)

// Looking again at what is as it should be writes nothing but that it was
// looked, and asks once for all.
func TestLookingAgainIsCheap(t *testing.T) {
	const many = 40
	w := enter(t)
	proxy := w.proxy()
	e := w.run(proxy.Config())
	files := map[string]string{}
	for i := range many {
		dir := fmt.Sprintf("app-%d", i)
		files[dir+"/a.yaml"] = configMap(dir, "1")
		files[dir+"/b.yaml"] = fmt.Sprintf("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: %s}\n", dir)
	}
	w.publish(v1, files)
	for i := range many {
		dir := fmt.Sprintf("app-%d", i)
		w.kustomization(dir, dir)
	}
	w.ready(v1)
	before := w.versions()

	proxy.Reset()
	w.requested()
	w.Logf("%d asked for: %s", many, tally(proxy))
	w.untouched(before)
	for _, q := range proxy.Requests() {
		if counts(q) && q.Resource != "kustomizations" { // Events of the install may still be on their way
			t.Errorf("a requested run without news: %s", q)
		}
	}
	if n := proxy.Count(on("patch", "kustomizations")); n != many {
		t.Errorf("%d statuses were written, want one for each of %d", n, many)
	}

	for _, k := range w.all() {
		w.edit(k.Name, func(k *kustomizev1.Kustomization) { k.Spec.Interval.Duration = 4 * time.Second })
	}
	w.until(func() string {
		for _, k := range w.all() {
			if !isReady(&k) {
				return k.Name + " has not seen its interval: " + describe(&k)
			}
		}
		return ""
	})
	proxy.Reset()
	seen := len(e.told())
	w.until(func() string { return fewer(len(e.told())-seen, 2*many) })
	runs := len(e.told()) - seen
	lists := proxy.Count(on("list", "configmaps"))
	w.Logf("%d events of runs by the interval: %s", runs, tally(proxy))
	w.untouched(before)
	if n := proxy.Count(counts); n > 0 {
		t.Errorf("runs by the interval made %d writes", n)
	}
	if lists > runs/2 {
		t.Errorf("%d lists of ConfigMaps for %d runs", lists, runs)
	}
}

func fewer(got, want int) string {
	if got < want {
		return fmt.Sprintf("only %d of %d", got, want)
	}
	return ""
}

// versions are the resourceVersions of all labelled objects.
func (w *world) versions() map[string]string {
	w.Helper()
	versions := map[string]string{}
	for _, o := range w.labelled("no.group") {
		versions[o.GetKind()+"/"+o.GetName()] = o.GetResourceVersion()
	}
	return versions
}

func (w *world) untouched(before map[string]string) {
	w.Helper()
	if diff := cmp.Diff(before, w.versions()); diff != "" {
		w.Errorf("something was written (-before +after):\n%s", diff)
	}
}
