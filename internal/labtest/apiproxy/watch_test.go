package apiproxy_test

import (
	"testing"
	"time"

	"github.com/sluice-dev/sluice/internal/labtest/apiproxy"
)

func TestWatchesStream(t *testing.T) {
	protocols(t, func(w *world) {
		events := w.watch()
		for range 3 {
			w.server.put("x", "new")
			if e, open := w.next(events); !open || e.Type != "MODIFIED" {
				w.Fatalf("got %v, open: %v", e, open)
			}
		}
	})
}

func TestCutWatches(t *testing.T) {
	protocols(t, func(w *world) {
		events := w.watch()
		if n := w.proxy.CutWatches(); n != 1 {
			w.Errorf("%d watches are cut, want 1", n)
		}
		w.ends(events)
		again := w.watch()
		w.server.put("x", "new")
		if e, open := w.next(again); !open {
			w.Errorf("a new watch is closed, too: %v", e)
		}
	})
}

func TestHeldWatchesLagAndLoseNothing(t *testing.T) {
	protocols(t, func(w *world) {
		w.proxy.HoldWatches(func(q apiproxy.Request) bool { return q.Resource == "configmaps" })
		events := w.watch()
		w.server.put("x", "1")
		w.server.put("x", "2")
		select {
		case e := <-events.ResultChan():
			w.Fatalf("a held watch says %v", e)
		case <-time.After(50 * time.Millisecond):
		}
		w.proxy.HoldWatches(nil)
		for range 2 {
			if e, open := w.next(events); !open || e.Type != "MODIFIED" {
				w.Fatalf("after the release: %v, open: %v", e, open)
			}
		}
	})
}
