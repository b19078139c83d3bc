package delivertest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"

	"github.com/sluice-dev/sluice/internal/labtest"
)

// Somebody pushes more often than anything can become healthy. Each member of a
// chain becomes Ready all the same.
func TestPushesWithoutEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("takes most of a minute")
	}
	t.Parallel()
	const links, every = 3, 2 * time.Second
	w := enter(t)
	e := w.run(labtest.Config(t))
	files := func(n int) map[string]string {
		tree := map[string]string{}
		for i := range links {
			name := fmt.Sprintf("link-%d", i)
			tree[name+"/web.yaml"] = deployment(name, fmt.Sprint(n), `, lab.sluice.dev/after: 3s`)
		}
		return tree
	}
	w.publish("push-0@sha1:0", files(0))
	for i := range links {
		name := fmt.Sprintf("link-%d", i)
		w.kustomization(name, name, func(k *kustomizev1.Kustomization) {
			k.Spec.Timeout.Duration = 8 * time.Second
			if i > 0 {
				dependsOn(fmt.Sprintf("link-%d", i-1))(k)
			}
		})
	}
	w.ready("push-0@sha1:0")
	tick := time.NewTicker(every)
	defer tick.Stop()
	began, n := time.Now(), 0
	for readyOnce := map[string]time.Duration{}; len(readyOnce) < links; {
		if time.Since(began) > 2*time.Minute {
			t.Fatalf("after %d pushes only %v became Ready", n, readyOnce)
		}
		n++
		w.publish(fmt.Sprintf("push-%d@sha1:%d", n, n), files(n))
		<-tick.C
		for _, got := range e.told() {
			d := got.Delivered
			if d == nil || strings.HasPrefix(d.Revision, "push-0@") || readyOnce[got.Object.Name] != 0 {
				continue
			}
			readyOnce[got.Object.Name] = got.At.Sub(began)
			t.Logf("%s became Ready at %s after %s and %d pushes", got.Object.Name, d.Revision, got.At.Sub(began).Round(time.Millisecond), n)
		}
	}
	w.ready(fmt.Sprintf("push-%d@sha1:%d", n, n))
}
