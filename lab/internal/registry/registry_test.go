package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

const manifestType = "application/vnd.oci.image.manifest.v1+json"

func call(t *testing.T, method, url string, body []byte, want int) http.Header {
	t.Helper()
	request, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", manifestType)
	request.Header.Set("Accept", manifestType)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(answer.Body)
	answer.Body.Close()
	if answer.StatusCode != want {
		t.Fatalf("%s %s: %s, want %d: %s", method, url, answer.Status, want, text)
	}
	return answer.Header
}

// push uploads the smallest artifact and returns its digest.
func push(t *testing.T, base, tag string) string {
	t.Helper()
	blob := digest.FromString("{}")
	upload := call(t, http.MethodPost, base+"/blobs/uploads/", nil, http.StatusAccepted).Get("Location")
	call(t, http.MethodPut, upload+"&digest="+blob.String(), []byte("{}"), http.StatusCreated)
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":2},"layers":[]}`, manifestType, blob)
	return call(t, http.MethodPut, base+"/manifests/"+tag, manifest, http.StatusCreated).Get("Docker-Content-Digest")
}

// event is what a listener reads of a notification.
type event struct {
	Action string
	Target struct{ Repository, Tag, Digest, MediaType string }
}

func TestPushAndDeleteAreTold(t *testing.T) {
	events := make(chan event, 10)
	failures := 2
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("authorization %q", r.Header.Get("Authorization"))
		}
		if failures--; failures >= 0 { // what is not heard is told again
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		var envelope struct{ Events []event }
		if err := json.NewDecoder(r.Body).Decode(&envelope); err != nil {
			t.Error(err)
		}
		for _, e := range envelope.Events {
			events <- e
		}
	}))
	defer listener.Close()
	// The second listener is down; nobody may notice.
	server, err := Start(Options{Dir: t.TempDir(), Addr: "127.0.0.1:0", Notify: []string{listener.URL, "http://127.0.0.1:1/"}, NotifyToken: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	base := "http://" + server.Addr + "/v2/team/app"
	d := push(t, base, "1.0.0")
	call(t, http.MethodGet, base+"/manifests/1.0.0", nil, http.StatusOK)
	call(t, http.MethodDelete, base+"/manifests/1.0.0", nil, http.StatusAccepted)
	call(t, http.MethodDelete, base+"/manifests/"+d, nil, http.StatusAccepted)
	call(t, http.MethodDelete, base+"/manifests/"+d, nil, http.StatusNotFound)

	next := func() event {
		select {
		case e := <-events:
			return e
		case <-time.After(20 * time.Second):
			t.Fatal("no event")
			return event{}
		}
	}
	pushed, untagged, deleted := next(), next(), next()
	if pushed.Action != "push" || pushed.Target.Repository != "team/app" || pushed.Target.Tag != "1.0.0" || pushed.Target.Digest != d || pushed.Target.MediaType != manifestType {
		t.Errorf("push: %+v", pushed)
	}
	if untagged.Action != "delete" || untagged.Target.Tag != "1.0.0" {
		t.Errorf("delete of a tag: %+v", untagged)
	}
	if deleted.Action != "delete" || deleted.Target.Digest != d || deleted.Target.Tag != "" {
		t.Errorf("delete of a digest: %+v", deleted)
	}
	if len(events) > 0 {
		t.Errorf("one event too many: %+v", <-events)
	}
}

func TestDataSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	for _, want := range []int{http.StatusNotFound, http.StatusOK} {
		server, err := Start(Options{Dir: dir, Addr: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		base := "http://" + server.Addr + "/v2/app"
		call(t, http.MethodGet, base+"/manifests/1", nil, want)
		push(t, base, "1")
		server.Stop()
	}
}

// A listener that never answers costs a bounded queue, of which the newest events stay.
func TestQueueIsBounded(t *testing.T) {
	n := &notifier{events: make(chan []byte, queued)}
	for i := range 10 * queued {
		n.add(fmt.Append(nil, i))
	}
	if len(n.events) != queued {
		t.Errorf("%d events are queued, want %d", len(n.events), queued)
	}
	if first := string(<-n.events); first != fmt.Sprint(9*queued) {
		t.Errorf("the oldest that is left is %s", first)
	}
}

func TestTakenAddress(t *testing.T) {
	first, err := Start(Options{Dir: t.TempDir(), Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Stop()
	if _, err := Start(Options{Dir: t.TempDir(), Addr: first.Addr}); err == nil || !strings.Contains(err.Error(), "another process uses it") {
		t.Errorf("a taken address: %v", err)
	}
}
