package delivertest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/labtest"
)

// A hundred Kustomizations that never become healthy do not delay one that
// does.
func TestTheUnhealthyDelayNobody(t *testing.T) {
	const many = 100
	w := enter(t)
	e := w.run(labtest.Config(t))
	files := map[string]string{}
	const tries = 3 // other things happen on a machine: the best one counts
	for i := range 2 * tries {
		name := fmt.Sprintf("well-%d", i)
		for j := range 3 {
			files[fmt.Sprintf("%s/%d.yaml", name, j)] = configMap(fmt.Sprintf("%s-%d", name, j), "1")
		}
		files[name+"/web.yaml"] = deployment(name, "1", `, lab.sluice.dev/after: 100ms`)
	}
	for i := range many {
		name := fmt.Sprintf("stuck-%d", i)
		files[name+"/web.yaml"] = deployment(name, "1", hangs)
	}
	w.publish(v1, files)
	alone := w.timeOf(0, tries)

	for i := range many {
		name := fmt.Sprintf("stuck-%d", i)
		w.kustomization(name, name, func(k *kustomizev1.Kustomization) { k.Spec.Timeout.Duration = 10 * time.Minute })
	}
	w.until(func() string {
		waiting := map[string]bool{}
		for _, got := range e.told() {
			if got.Checking != nil {
				waiting[got.Object.Name] = true
			}
		}
		return fewer(len(waiting), many)
	})
	w.until(func() string { return fewer(w.running("stuck-"), many) }) // the cluster has done its part
	amid := w.timeOf(tries, tries)
	t.Logf("alone %s, among %d that wait %s", alone.Round(time.Millisecond), many, amid.Round(time.Millisecond))
	if amid > 2*alone+2*time.Second {
		t.Errorf("takes %s instead of %s", amid, alone)
	}
}

// timeOf makes Kustomizations one after the other, and gives the shortest time
// until one is Ready.
func (w *world) timeOf(first, tries int) time.Duration {
	w.Helper()
	best := time.Hour
	for i := range tries {
		name := fmt.Sprintf("well-%d", first+i)
		began := time.Now()
		w.kustomization(name, name)
		w.ready(v1, name)
		best = min(best, time.Since(began))
	}
	return best
}

// running counts the pods that run.
func (w *world) running(prefix string) int {
	w.Helper()
	var list corev1.PodList
	w.must(w.client.List(w.Context(), &list, client.InNamespace(w.namespace)))
	n := 0
	for _, pod := range list.Items {
		if strings.HasPrefix(pod.Name, prefix) && pod.Status.Phase == corev1.PodRunning {
			n++
		}
	}
	return n
}
