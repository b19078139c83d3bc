package apiproxy_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/sluice-dev/sluice/internal/labtest/apiproxy"
)

func writes(q apiproxy.Request) bool { return q.Writes() }
func reads(q apiproxy.Request) bool  { return q.Verb == "get" }

func TestPassesEverythingUnchanged(t *testing.T) {
	protocols(t, func(w *world) {
		c := w.proxy.Config()
		c.UserAgent, c.Impersonate = "probe/1", rest.ImpersonationConfig{UserName: "ana", Groups: []string{"a", "b"}}
		w.server.put("x", "old")
		client := kubernetes.NewForConfigOrDie(c)
		cm, err := client.CoreV1().ConfigMaps("ns").Get(w.Context(), "x", metav1.GetOptions{})
		w.must(err)
		if cm.Data["value"] != "old" {
			w.Errorf("read %v", cm.Data)
		}
		h := w.server.headers()[0]
		if h.Get("Authorization") != "Bearer token" || h.Get("Impersonate-User") != "ana" || len(h.Values("Impersonate-Group")) != 2 ||
			h.Get("User-Agent") != "probe/1" || h.Get("Accept-Encoding") != "gzip" || h.Get("X-Forwarded-For") != "" {
			w.Errorf("the server got %v", h)
		}
		q := w.proxy.Requests()[0]
		if q.Impersonate != "ana" || q.UserAgent != "probe/1" || q.Status != http.StatusOK || q.Answered == 0 || q.String() != "get configmaps ns/x" {
			w.Errorf("noted as %+v", q)
		}
	})
}

func TestCountsAndForgets(t *testing.T) {
	protocols(t, func(w *world) {
		for range 3 {
			w.must(w.apply(w.Context(), "x"))
		}
		_, err := w.get(w.Context(), "x")
		w.must(err)
		if got := w.proxy.Count(writes); got != 3 {
			w.Errorf("%d writes, want 3", got)
		}
		if last := w.proxy.Requests()[3]; last.N != 4 || last.Verb != "get" {
			w.Errorf("the last request is %+v", last)
		}
		w.proxy.Reset()
		if got := w.proxy.Requests(); len(got) != 0 {
			w.Errorf("%d requests after a reset", len(got))
		}
	})
}

func TestStatusFaults(t *testing.T) {
	protocols(t, func(w *world) {
		for _, tt := range []struct {
			fault apiproxy.Fault
			is    func(error) bool
		}{
			{apiproxy.Fault{Status: 409}, apierrors.IsConflict},
			{apiproxy.Fault{Status: 409, Reason: metav1.StatusReasonAlreadyExists}, apierrors.IsAlreadyExists},
			{apiproxy.Fault{Status: 429}, apierrors.IsTooManyRequests},
			{apiproxy.Fault{Status: 500}, apierrors.IsInternalError},
			{apiproxy.Fault{Status: 403, Message: "no"}, apierrors.IsForbidden},
			{apiproxy.Fault{Status: 504}, apierrors.IsTimeout},
		} {
			w.proxy.Fault(func(apiproxy.Request) *apiproxy.Fault { return &tt.fault })
			err := w.apply(w.Context(), "x")
			if !tt.is(err) || tt.fault.Message != "" && err.Error() != tt.fault.Message {
				w.Errorf("%+v gives %v", tt.fault, err)
			}
		}
		if w.server.writes() != 0 {
			w.Error("the server saw a write")
		}
		w.proxy.Fault(nil)
		w.must(w.apply(w.Context(), "x"))
	})
}

// client-go repeats what has a Retry-After, by itself.
func TestRetryAfter(t *testing.T) {
	protocols(t, func(w *world) {
		w.proxy.Fault(func(q apiproxy.Request) *apiproxy.Fault {
			if q.N == 1 {
				return &apiproxy.Fault{Status: 429, RetryAfter: 1}
			}
			return nil
		})
		w.must(w.apply(w.Context(), "x"))
		if q := w.proxy.Requests(); len(q) != 2 || q[0].Status != 429 || q[1].Status != 200 {
			w.Errorf("requests: %+v", q)
		}
	})
}

func TestHangEndsWithTheClient(t *testing.T) {
	protocols(t, func(w *world) {
		w.proxy.Fault(func(apiproxy.Request) *apiproxy.Fault { return &apiproxy.Fault{Hang: true} })
		err := w.apply(w.context(100*time.Millisecond), "x")
		if !errors.Is(err, context.DeadlineExceeded) {
			w.Errorf("a request that hangs ends with %v", err)
		}
		if w.server.writes() != 0 {
			w.Error("the server saw it")
		}
	})
}

func TestCutBeforeAndAfterTheServer(t *testing.T) {
	protocols(t, func(w *world) {
		for want, fault := range []apiproxy.Fault{{Cut: true}, {CutAfter: true}} {
			w.proxy.Fault(func(apiproxy.Request) *apiproxy.Fault { return &fault })
			if err := w.apply(w.Context(), "x"); err == nil || apierrors.ReasonForError(err) != metav1.StatusReasonUnknown {
				w.Errorf("%+v gives %v, want a broken connection", fault, err)
			}
			if got := w.server.writes(); got != want {
				w.Errorf("%+v: the server saw %d writes, want %d", fault, got, want)
			}
		}
	})
}

func TestDelay(t *testing.T) {
	protocols(t, func(w *world) {
		w.proxy.Fault(func(apiproxy.Request) *apiproxy.Fault { return &apiproxy.Fault{Delay: 50 * time.Millisecond} })
		start := time.Now()
		w.must(w.apply(w.Context(), "x"))
		if took := time.Since(start); took < 50*time.Millisecond {
			w.Errorf("took %s", took)
		}
	})
}

func TestStaleReads(t *testing.T) {
	protocols(t, func(w *world) {
		w.server.put("x", "old")
		stale := func(apiproxy.Request) *apiproxy.Fault { return &apiproxy.Fault{Stale: true} }
		read := func(name, want string) {
			w.Helper()
			got, err := w.get(w.Context(), name)
			w.must(err)
			if got != want {
				w.Errorf("%s is read as %q, want %q", name, got, want)
			}
		}
		read("x", "old")
		w.server.put("x", "new")
		w.server.put("y", "first")
		w.proxy.Fault(stale)
		read("x", "old")
		read("y", "first") // nothing older is known
		w.proxy.Fault(nil)
		read("x", "new")
	})
}

func TestRefusesAndComesBack(t *testing.T) {
	protocols(t, func(w *world) {
		w.must(w.apply(w.Context(), "x"))
		events := w.watch()
		w.proxy.Refuse(true)
		w.ends(events)
		if err := w.apply(w.Context(), "x"); err == nil {
			w.Error("a server that is down answered")
		}
		w.proxy.Refuse(false)
		w.must(w.apply(w.Context(), "x"))
		if got := w.server.writes(); got != 2 {
			w.Errorf("the server saw %d writes, want 2", got)
		}
	})
}

// A server that is down for real is no answer of the proxy's.
func TestUpstreamIsDown(t *testing.T) {
	protocols(t, func(w *world) {
		w.server.Close()
		if err := w.apply(w.Context(), "x"); err == nil || apierrors.ReasonForError(err) != metav1.StatusReasonUnknown {
			w.Errorf("got %v, want a broken connection", err)
		}
	})
}

func TestAwait(t *testing.T) {
	protocols(t, func(w *world) {
		w.proxy.Fault(func(apiproxy.Request) *apiproxy.Fault { return &apiproxy.Fault{Hang: true} })
		go w.apply(w.context(patience), "x")
		q, err := w.proxy.Await(w.context(patience), writes)
		w.must(err)
		if q.Name != "x" || q.FieldManager != "test" {
			w.Errorf("awaited %+v", q)
		}
		if _, err := w.proxy.Await(w.context(time.Millisecond), reads); !errors.Is(err, context.DeadlineExceeded) {
			w.Errorf("awaiting what never comes ends with %v", err)
		}
	})
}

func (w *world) watch() watch.Interface {
	w.Helper()
	// Watching through a client of its own: a stream that is broken must not
	// take a request with it.
	events, err := w.client.CoreV1().ConfigMaps("ns").Watch(w.Context(), metav1.ListOptions{})
	w.must(err)
	w.Cleanup(events.Stop)
	return events
}

// next waits for an event of a watch.
func (w *world) next(events watch.Interface) (watch.Event, bool) {
	w.Helper()
	select {
	case e, open := <-events.ResultChan():
		return e, open
	case <-time.After(patience):
		w.Fatal("nothing comes from the watch")
		return watch.Event{}, false
	}
}

func (w *world) ends(events watch.Interface) {
	w.Helper()
	for {
		e, open := w.next(events)
		if !open {
			return
		}
		if e.Type != watch.Error {
			w.Fatalf("the watch goes on with %v", e)
		}
	}
}
