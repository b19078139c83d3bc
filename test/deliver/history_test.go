package delivertest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// chronicle holds every status that anybody could see of the Kustomizations of
// a namespace.
type chronicle struct {
	mu     sync.Mutex
	states map[string][]kustomizev1.Kustomization
}

func (w *world) chronicle() *chronicle {
	w.Helper()
	c := &chronicle{states: map[string][]kustomizev1.Kustomization{}}
	var list kustomizev1.KustomizationList
	w.must(w.client.List(w.Context(), &list, client.InNamespace(w.namespace)))
	ctx, cancel := context.WithCancel(context.Background())
	w.Cleanup(cancel)
	go func() {
		for version := list.ResourceVersion; ctx.Err() == nil; {
			stream, err := w.client.Watch(ctx, &kustomizev1.KustomizationList{}, client.InNamespace(w.namespace),
				&client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: version}})
			if err != nil {
				time.Sleep(100 * time.Millisecond) // until the server answers again
				continue
			}
			for e := range stream.ResultChan() {
				if k, ok := e.Object.(*kustomizev1.Kustomization); ok {
					version = k.ResourceVersion
					c.mu.Lock()
					c.states[k.Name] = append(c.states[k.Name], *k)
					c.mu.Unlock()
				}
			}
		}
	}()
	return c
}

func (c *chronicle) of(name string) []kustomizev1.Kustomization {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.states[name])
}

// course is how the Ready condition went, without repetitions:
// "Unknown Progressing", "True ReconciliationSucceeded v1".
func (c *chronicle) course(name string) []string {
	var list []string
	for _, k := range c.of(name) {
		ready := condition(&k, meta.ReadyCondition)
		if ready == nil {
			continue
		}
		text := fmt.Sprintf("%s %s", ready.Status, ready.Reason)
		if ready.Status == metav1.ConditionTrue {
			text += " " + k.Status.LastAppliedRevision
		}
		if len(list) == 0 || list[len(list)-1] != text {
			list = append(list, text)
		}
	}
	return list
}

// messages lists all sentences that conditions had.
func (c *chronicle) messages(name string) []string {
	var list []string
	for _, k := range c.of(name) {
		for _, one := range k.Status.Conditions {
			if !slices.Contains(list, one.Message) {
				list = append(list, one.Message)
			}
		}
	}
	return list
}

// told waits for a Kubernetes Event about a Kustomization that has all words.
func (w *world) told(name string, words ...string) {
	w.Helper()
	w.until(func() string {
		var seen []string
		for _, text := range w.eventsOf(name) {
			if containsAll(text, words) {
				return ""
			}
			seen = append(seen, text)
		}
		return fmt.Sprintf("no event of %s has %q, only:\n%s", name, words, strings.Join(seen, "\n"))
	})
}

func containsAll(text string, words []string) bool {
	return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) })
}
