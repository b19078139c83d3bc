package apiproxy

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Fault is what goes wrong with one request. After Delay, the first of the
// others that is set happens; without any, the request goes its way.
type Fault struct {
	Delay time.Duration

	// Status answers for the server, which never sees the request. Reason and
	// Message are the usual ones of that status unless set. client-go repeats a
	// 429 or 5xx by itself if RetryAfter, in seconds, is set.
	Status     int
	Reason     metav1.StatusReason
	Message    string
	RetryAfter int

	Hang bool // no answer until the client gives up
	// Cut breaks the connection; the server never sees the request. Over
	// HTTP/1.1 client-go repeats a get that broke, ten times, by itself.
	Cut bool
	// CutAfter lets the server do its work, and the connection break before the
	// answer: what a crash in between looks like. A watch is cut at once.
	CutAfter bool
	// Stale repeats the answer that a get or list of the same URL got before,
	// if there was one: what a server that lags behind says.
	Stale bool
}

// Fault sets what decides about each request before it is sent on; nil heals
// everything. It is called from many goroutines at once, and may call methods
// of the proxy. Only one decision is in force: the last one that was set.
func (p *Proxy) Fault(decide func(Request) *Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.decide = decide
}

// fail does what a fault says, and tells whether that was all.
func (p *Proxy) fail(w http.ResponseWriter, r *http.Request, q Request, f *Fault) (done bool) {
	if f.Delay > 0 {
		p.rest(r.Context(), f.Delay)
	}
	switch {
	case f.Status != 0:
		p.refuse(w, q, f)
		return true
	case f.Hang:
		p.rest(r.Context(), 0)
		drop()
	case f.Cut, f.CutAfter && q.Verb == "watch":
		drop()
	case f.CutAfter:
		p.deliver(r)
		drop()
	case f.Stale:
		return p.repeat(w, r, q)
	}
	return false
}

// rest waits; 0 is as long as the client does. A client that gave up, or a test
// that is over, ends the request.
func (p *Proxy) rest(ctx context.Context, d time.Duration) {
	var over <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
	case <-ctx.Done():
		drop()
	case <-p.ended:
		drop()
	}
}

// refuse answers as an API server does: with a Status object.
func (p *Proxy) refuse(w http.ResponseWriter, q Request, f *Fault) {
	message := f.Message
	if message == "" {
		message = fmt.Sprintf("refused on purpose: %s", q)
	}
	group := schema.GroupResource{Group: q.Group, Resource: q.Resource}
	status := apierrors.NewGenericServerResponse(f.Status, q.Verb, group, q.Name, message, f.RetryAfter, false).Status()
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	status.Message = message
	if f.Reason != "" {
		status.Reason = f.Reason
	}
	body, err := json.Marshal(status)
	if err != nil {
		drop()
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
	}
	w.Header().Set("Content-Type", "application/json")
	out := &writer{ResponseWriter: w, proxy: p, request: q, ctx: context.Background()}
	out.WriteHeader(f.Status)
	_, _ = out.Write(body) // a client that left needs no answer
}

// deliver lets a request reach the server and forgets the answer. The client's
// end does not call it back.
func (p *Proxy) deliver(r *http.Request) {
	p.forward.ServeHTTP(nobody{header: http.Header{}}, r.WithContext(context.WithoutCancel(r.Context())))
}

// nobody reads an answer to the end.
type nobody struct{ header http.Header }

func (n nobody) Header() http.Header         { return n.header }
func (n nobody) Write(b []byte) (int, error) { return len(b), nil }
func (n nobody) WriteHeader(int)             {}
