package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/record"

	"github.com/sluice-dev/sluice/internal/event"
)

func notice(name, reason, message string) event.Notice {
	return event.Notice{
		Object: event.Object{APIVersion: "source.toolkit.fluxcd.io/v1", Kind: "OCIRepository", Namespace: "apps", Name: name, UID: "u"},
		At:     time.Unix(1000, 0), Severity: event.Error, Reason: reason, Message: message,
		Metadata: map[string]string{"source.toolkit.fluxcd.io/revision": "v1"},
	}
}

// A sink that is stuck holds nobody up. Every different notice gets out, in
// order; what is told again while it waits is told once; and beyond what may
// wait one by one, the newest of each object and reason still does.
func TestQueueNeverBlocksAndNeverForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		open := make(chan struct{})
		q := NewQueue(func(_ context.Context, n event.Notice) error {
			<-open
			got = append(got, n.Object.Name+" "+n.Reason+" "+n.Message)
			return nil
		}, func(n event.Notice, err error) { t.Errorf("%v: %v", n, err) })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			q.Run(ctx, t.Context())
			close(done)
		}()
		q.Tell(notice("a", "Failed", "0"))
		synctest.Wait() // the sink is stuck with it
		for i := range 3 {
			q.Tell(notice("a", "NewArtifact", fmt.Sprint("v", i)))
			q.Tell(notice("a", "Failed", "again"))
		}
		for i := range maxWaiting {
			q.Tell(notice("b", "Failed", fmt.Sprint(i)))
		}
		if q.Repeats() != 5 { // two of "again", and the last three of b but their newest
			t.Errorf("%d repeats counted", q.Repeats())
		}
		cancel() // what waits still gets out
		close(open)
		<-done
		if diff := cmp.Diff([]string{"a Failed 0", "a NewArtifact v0", "a Failed again", "a NewArtifact v1", "a NewArtifact v2", "b Failed 0"}, got[:6]); diff != "" {
			t.Error(diff)
		}
		if last := got[len(got)-1]; last != fmt.Sprint("b Failed ", maxWaiting-1) || len(got) != maxWaiting+2 {
			t.Errorf("%d delivered, the last is %q", len(got), last)
		}
	})
}

func TestQueueGivesUpWhenTheFlushIsOver(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	q := NewQueue(func(context.Context, event.Notice) error {
		t.Error("delivered after the end")
		return nil
	}, func(event.Notice, error) {})
	q.Tell(notice("a", "Failed", "x"))
	q.Run(ctx, ctx)
}

func TestPosterSpeaksFlux(t *testing.T) {
	var body map[string]any
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	p := &Poster{Address: strings.TrimPrefix(server.URL, "http://"), Controller: "source-controller"}
	if err := p.Send(t.Context(), notice("app", "NewArtifact", "stored")); err != nil {
		t.Fatal(err)
	}
	delete(body, "reportingInstance")
	want := map[string]any{
		"involvedObject": map[string]any{"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "OCIRepository", "name": "app", "namespace": "apps", "uid": "u"},
		"severity":       "error", "timestamp": "1970-01-01T00:16:40Z", "message": "stored", "reason": "NewArtifact",
		"metadata": map[string]any{"source.toolkit.fluxcd.io/revision": "v1"}, "reportingController": "source-controller",
	}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Error(diff)
	}
}

func TestPosterTriesAgainWhereItHelps(t *testing.T) {
	for _, c := range []struct {
		status, tries int
		fails         bool
	}{{200, 1, false}, {429, 1, false}, {400, 1, true}, {503, 2, false}} {
		var tries atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if tries.Add(1) == 1 {
				w.WriteHeader(c.status)
			}
		}))
		err := (&Poster{Address: server.URL}).Send(t.Context(), notice("app", "r", "m"))
		server.Close()
		if (err != nil) != c.fails || int(tries.Load()) != c.tries {
			t.Errorf("%d: %d tries, %v; want %d", c.status, tries.Load(), err, c.tries)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (&Poster{Address: "127.0.0.1:1"}).Send(ctx, notice("app", "r", "m")); !errors.Is(err, context.Canceled) {
		t.Errorf("a shutdown is not waited out: %v", err)
	}
}

func TestKubernetesEvents(t *testing.T) {
	recorder := record.NewFakeRecorder(1)
	if err := KubernetesEvents(recorder)(t.Context(), notice("app", "NewArtifact", "100% stored")); err != nil {
		t.Fatal(err)
	}
	if got := <-recorder.Events; !strings.HasPrefix(got, "Warning NewArtifact 100% stored") {
		t.Error(got)
	}
}
