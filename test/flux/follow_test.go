package fluxtest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// history is all states of a Kustomization that a watch saw: none is missed,
// however short it was.
type history struct {
	mu     sync.Mutex
	states []*kustomizev1.Kustomization
	gone   bool
	news   chan struct{} // closed and replaced with each change
}

// follow watches a Kustomization until the end of the test.
func (w *world) follow(called string) {
	w.Helper()
	h := &history{news: make(chan struct{})}
	w.mu.Lock()
	w.followed[called] = h
	w.mu.Unlock()
	open := func(ctx context.Context) (watch.Interface, error) {
		return w.client.Watch(ctx, &kustomizev1.KustomizationList{}, client.InNamespace(w.id), client.MatchingFields{"metadata.name": called})
	}
	changes, err := open(w.Context())
	w.must(err)
	go func(ctx context.Context) {
		for err == nil && ctx.Err() == nil {
			for change := range changes.ResultChan() {
				h.note(change)
			}
			changes, err = open(ctx) // the server ends a watch now and then
		}
	}(w.Context())
}

func (h *history) note(change watch.Event) {
	k, ok := change.Object.(*kustomizev1.Kustomization)
	if !ok {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gone = change.Type == watch.Deleted
	h.states = append(h.states, k)
	close(h.news)
	h.news = make(chan struct{})
}

func (w *world) history(called string) *history {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.followed[called]
}

// await waits until look is content with the states so far.
func (w *world) await(called, what string, look func(states []*kustomizev1.Kustomization, gone bool) bool) {
	w.Helper()
	h := w.history(called)
	deadline := time.After(patience)
	for {
		h.mu.Lock()
		states, gone, news := h.states, h.gone, h.news
		h.mu.Unlock()
		if look(states, gone) {
			return
		}
		select {
		case <-news:
		case <-w.shared.ended:
			w.Fatalf("the controller does not run any more:\n%s", w.shared.log.about())
		case <-deadline:
			text := ""
			for _, k := range states[max(0, len(states)-5):] {
				text += "\n" + show(k)
			}
			w.Fatalf("%s is not %s in time; its last states of %d:%s\nthe controller says:\n%s", called, what, len(states), text, w.shared.log.about(w.id))
		}
	}
}

// until waits for a state of a Kustomization and returns it.
func (w *world) until(called, what string, reached func(*kustomizev1.Kustomization) bool) *kustomizev1.Kustomization {
	w.Helper()
	var found *kustomizev1.Kustomization
	w.await(called, what, func(states []*kustomizev1.Kustomization, gone bool) bool {
		if len(states) == 0 || gone || !reached(states[len(states)-1]) {
			return false
		}
		found = states[len(states)-1]
		return true
	})
	return found
}

// passes waits for a state that may be over already; only states with at least
// the generation count.
func (w *world) passes(called, what string, generation int64, reached func(*kustomizev1.Kustomization) bool) *kustomizev1.Kustomization {
	w.Helper()
	var found *kustomizev1.Kustomization
	w.await(called, what, func(states []*kustomizev1.Kustomization, _ bool) bool {
		for _, k := range states {
			if k.Generation >= generation && reached(k) {
				found = k
				return true
			}
		}
		return false
	})
	return found
}

// gone waits until a Kustomization does not exist any more.
func (w *world) gone(called string) {
	w.Helper()
	w.await(called, "gone", func(_ []*kustomizev1.Kustomization, gone bool) bool { return gone })
}

// eventually polls for what is no state of a Kustomization.
func (w *world) eventually(what string, reached func() bool) {
	w.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !reached() {
		select {
		case <-tick.C:
		case <-deadline:
			w.Fatalf("in time, it is not so that %s", what)
		}
	}
}

// about describes an Event that is waited for.
type about struct {
	kind     string // Normal, Warning; empty is any
	reason   string // empty is any
	text     string // in the message
	revision string // of the annotation; empty is any
}

// event waits for an Event about a Kustomization.
func (w *world) event(called string, want about) corev1.Event {
	w.Helper()
	var found corev1.Event
	var seen []string
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		seen = nil
		for _, e := range w.events(called) {
			seen = append(seen, fmt.Sprintf("%s %s: %s %v", e.Type, e.Reason, e.Message, e.Annotations))
			if (want.kind == "" || e.Type == want.kind) && (want.reason == "" || e.Reason == want.reason) && strings.Contains(e.Message, want.text) &&
				(want.revision == "" || e.Annotations[revisionKey] == want.revision) {
				return e
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	w.Fatalf("no Event %+v about %s; there were\n%s", want, called, strings.Join(seen, "\n"))
	return found
}

const (
	revisionKey       = "kustomize.toolkit.fluxcd.io/revision"
	originRevisionKey = "kustomize.toolkit.fluxcd.io/originRevision"
)

// events lists the Events about a Kustomization.
func (w *world) events(called string) []corev1.Event {
	w.Helper()
	var list corev1.EventList
	w.must(w.client.List(w.Context(), &list, client.InNamespace(w.id)))
	var found []corev1.Event
	for _, e := range list.Items {
		if e.InvolvedObject.Kind == "Kustomization" && e.InvolvedObject.Name == called {
			found = append(found, e)
		}
	}
	return found
}
