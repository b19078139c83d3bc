package apiproxy

import (
	"bytes"
	"context"
	"net/http"
	"strings"
)

// pass lets a request through, and its answer back.
func (p *Proxy) pass(w http.ResponseWriter, r *http.Request, q Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	go func() { // what is open at the end of the test ends with it
		select {
		case <-p.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	out := &writer{ResponseWriter: w, proxy: p, request: q, ctx: ctx}
	switch q.Verb {
	case "watch":
		defer p.open(q, cancel)()
	case "get", "list":
		out.copy = &bytes.Buffer{}
	}
	p.forward.ServeHTTP(out, r.WithContext(ctx))
	if out.copy != nil && out.status == http.StatusOK {
		p.remember(r, answer{header: w.Header().Clone(), body: out.copy.Bytes()})
	}
}

// writer sees an answer on its way to the client.
type writer struct {
	http.ResponseWriter
	proxy   *Proxy
	request Request
	ctx     context.Context
	status  int
	copy    *bytes.Buffer // if the answer may be repeated later
}

func (w *writer) WriteHeader(status int) {
	if w.proxy.isDead() {
		drop()
	}
	if status >= http.StatusOK {
		w.status = status
		w.proxy.answered(w.request, status, 0)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(b []byte) (int, error) {
	if w.request.Verb == "watch" {
		w.proxy.hold(w.ctx, w.request)
	}
	if w.proxy.isDead() {
		drop()
	}
	if w.copy != nil {
		w.copy.Write(b)
	}
	n, err := w.ResponseWriter.Write(b)
	w.proxy.answered(w.request, w.status, int64(n))
	return n, err
}

// Unwrap lets the standard library flush and hijack.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// answer is one that the server gave.
type answer struct {
	header http.Header
	body   []byte
}

// key separates answers that are not for the same reader, or not in the same
// encoding.
func key(r *http.Request) string {
	parts := []string{r.URL.RequestURI()}
	for _, name := range []string{"Authorization", "Impersonate-User", "Accept", "Accept-Encoding"} {
		parts = append(parts, strings.Join(r.Header.Values(name), ","))
	}
	return strings.Join(parts, "\n")
}

func (p *Proxy) remember(r *http.Request, a answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers[key(r)] = a
}

// repeat gives an old answer, if there is one.
func (p *Proxy) repeat(w http.ResponseWriter, r *http.Request, q Request) bool {
	if q.Verb != "get" && q.Verb != "list" {
		return false
	}
	p.mu.Lock()
	a, found := p.answers[key(r)]
	p.mu.Unlock()
	if !found {
		return false
	}
	for name, values := range a.header {
		w.Header()[name] = values
	}
	out := &writer{ResponseWriter: w, proxy: p, request: q, ctx: r.Context()}
	out.WriteHeader(http.StatusOK)
	_, _ = out.Write(a.body) // a client that left needs no answer
	return true
}
