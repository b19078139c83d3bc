package delivertest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/internal/labtest"
)

// until waits for as long as something is missing. A test may be one of many
// that share a machine.
func (w *world) until(missing func() string) {
	w.Helper()
	const patience = 2 * labtest.Patience
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		what := missing()
		if what == "" {
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("after %s: %s", patience, what)
		}
		<-tick.C
	}
}

// ready waits until the named Kustomizations, or all, are Ready at a revision.
func (w *world) ready(revision string, names ...string) {
	w.Helper()
	w.until(func() string { return w.notReady(revision, names...) })
}

func (w *world) notReady(revision string, names ...string) string {
	w.Helper()
	var missing []string
	for _, k := range w.all() {
		if len(names) > 0 && !slices.Contains(names, k.Name) {
			continue
		}
		if !isReady(&k) || k.Status.LastAppliedRevision != revision {
			missing = append(missing, k.Name+" is not Ready: "+describe(&k))
		}
	}
	return strings.Join(missing, "\n")
}

// failed waits until a Kustomization is Ready=False with all words in its
// message, and returns the condition.
func (w *world) failed(name string, words ...string) metav1.Condition {
	w.Helper()
	var c *metav1.Condition
	w.until(func() string {
		k := w.read(name)
		if c = condition(k, meta.ReadyCondition); c == nil || c.Status != metav1.ConditionFalse {
			return fmt.Sprintf("%s has not failed: %s", name, describe(k))
		}
		for _, word := range words {
			if !strings.Contains(c.Message, word) {
				return fmt.Sprintf("%s does not say %q: %s", name, word, describe(k))
			}
		}
		return ""
	})
	return *c
}

func condition(k *kustomizev1.Kustomization, kind string) *metav1.Condition {
	return apimeta.FindStatusCondition(k.Status.Conditions, kind)
}

func isReady(k *kustomizev1.Kustomization) bool {
	c := condition(k, meta.ReadyCondition)
	return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == k.Generation && k.Status.ObservedGeneration == k.Generation
}

func describe(k *kustomizev1.Kustomization) string {
	text := fmt.Sprintf("generation %d, observed %d, applied %s", k.Generation, k.Status.ObservedGeneration, k.Status.LastAppliedRevision)
	for _, c := range k.Status.Conditions {
		text += fmt.Sprintf("; %s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message)
	}
	return text
}
