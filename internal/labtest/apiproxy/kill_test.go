package apiproxy_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/sluice-dev/sluice/internal/labtest/apiproxy"
)

// rollOut is a client that is to be killed: it reads and writes in turn.
func (w *world) rollOut(ctx context.Context, objects int) error {
	for i := range objects {
		name := fmt.Sprint("x", i)
		if _, err := w.get(ctx, name); err != nil {
			return err
		}
		if err := w.apply(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// A client that is killed at its n-th write has written n-1 times, or n times
// if the server got the last one; the loop over n ends by itself.
func TestKillAtEveryWrite(t *testing.T) {
	const objects = 4
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprintf("after=%v", after), func(t *testing.T) {
			protocols(t, func(w *world) {
				n := 1
				for ; ; n++ {
					before := w.server.writes()
					ctx, cancel := context.WithCancel(w.Context())
					w.proxy.KillAt(n, cancel, apiproxy.Kill{After: after})
					err := w.rollOut(ctx, objects)
					q, killed := w.proxy.Killed()
					if (err != nil) != killed || killed != (ctx.Err() != nil) {
						w.Fatalf("n=%d: the client ended with %v, killed: %v, kill called: %v", n, err, killed, ctx.Err())
					}
					cancel()
					if !killed {
						break
					}
					want := n - 1
					if after {
						want = n
					}
					if got := w.server.writes() - before; got != want || q.Name != fmt.Sprint("x", n-1) {
						w.Errorf("n=%d: killed at %s after %d writes, want %d", n, q, got, want)
					}
					w.proxy.Revive()
				}
				if n != objects+1 {
					w.Errorf("the loop ended at %d, want %d", n, objects+1)
				}
			})
		})
	}
}

func TestKillAtAnyRequest(t *testing.T) {
	protocols(t, func(w *world) {
		calls := 0
		ctx, cancel := context.WithCancel(w.Context())
		kill := func() {
			calls++
			cancel()
		}
		w.proxy.KillAt(3, kill, apiproxy.Kill{Match: func(apiproxy.Request) bool { return true }})
		if err := w.rollOut(ctx, 2); err == nil {
			w.Error("the client lives")
		}
		if q, _ := w.proxy.Killed(); q.Verb != "get" || q.Name != "x1" {
			w.Errorf("killed at %s", q)
		}
		if err := w.apply(w.Context(), "y"); err == nil || w.server.writes() != 1 {
			w.Errorf("a dead client goes on: %v, %d writes", err, w.server.writes())
		}
		if len(w.proxy.Requests()) != 3 || calls != 1 {
			w.Errorf("%d requests, %d kills", len(w.proxy.Requests()), calls)
		}
		w.proxy.Revive()
		w.must(w.apply(w.Context(), "y"))
	})
}

// The end of a client is the end of its watches and of answers under way, and a
// kill may wait for the client.
func TestKillEndsWhatIsOpen(t *testing.T) {
	protocols(t, func(w *world) {
		events := w.watch()
		ctx, cancel := context.WithCancel(w.Context())
		var client sync.WaitGroup
		w.proxy.KillAt(1, func() { cancel(); client.Wait() }, apiproxy.Kill{})
		client.Go(func() {
			if err := w.apply(ctx, "x"); err == nil {
				w.Error("the client lives")
			}
		})
		w.ends(events)
		client.Wait()
	})
}
