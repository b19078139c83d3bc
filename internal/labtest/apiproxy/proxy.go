// Package apiproxy stands between a client and a real API server in tests: it
// writes down every request, lets some of them fail on purpose, and ends a
// client at any request it makes.
//
// In: the connection of an API server, and rules about requests. Out: a
// connection to use instead, and the list of what passed. It never changes a
// request or an answer that it lets through, never keeps a body for a test to
// see (there are Secrets in it), and must not be used outside tests.
package apiproxy

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
)

// Proxy is a running proxy. All its methods may be called at any time, from
// any goroutine.
type Proxy struct {
	upstream *rest.Config
	server   *httptest.Server
	forward  *httputil.ReverseProxy
	ended    chan struct{} // closed with the test

	mu      sync.Mutex
	log     []Request
	serial  int
	news    chan struct{} // closed and replaced when the log grows
	decide  func(Request) *Fault
	doom    *doom
	refused bool
	streams map[int]stream
	held    func(Request) bool
	regate  chan struct{} // closed and replaced when held changes
	answers map[string]answer
}

// New starts a proxy that ends with the test.
func New(t testing.TB, upstream *rest.Config) *Proxy {
	t.Helper()
	forward, err := forwarder(upstream)
	if err != nil {
		t.Fatalf("starting a proxy for %s: %v", upstream.Host, err)
	}
	p := &Proxy{
		upstream: upstream, forward: forward, ended: make(chan struct{}),
		news: make(chan struct{}), regate: make(chan struct{}),
		streams: map[int]stream{}, answers: map[string]answer{},
	}
	p.server = httptest.NewUnstartedServer(p)
	p.server.EnableHTTP2 = true
	p.server.Listener = &door{Listener: p.server.Listener, shut: p.isRefused}
	// Connections that break are what a proxy of this kind is for.
	p.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.server.StartTLS()
	t.Cleanup(func() {
		close(p.ended)
		p.server.CloseClientConnections()
		p.server.Close()
		forward.Transport.(*http.Transport).CloseIdleConnections()
	})
	return p
}

// Config is upstream's configuration with the same credentials, aimed at the
// proxy. A client negotiates HTTP/2 unless its NextProtos say otherwise.
func (p *Proxy) Config() *rest.Config {
	c := rest.CopyConfig(p.upstream)
	c.Host, c.Transport, c.Dial, c.Proxy = p.server.URL, nil, nil, nil
	c.TLSClientConfig = rest.TLSClientConfig{
		CAData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw}),
	}
	return c
}

// forwarder passes requests on as they are, whoever sent them: tokens and
// impersonation are headers, a client certificate is upstream's.
func forwarder(upstream *rest.Config) (*httputil.ReverseProxy, error) {
	target, _, err := rest.DefaultServerUrlFor(upstream)
	if err != nil {
		return nil, err
	}
	tlsConfig, err := rest.TLSConfigFor(upstream)
	if err != nil {
		return nil, err
	}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { aim(r, target) },
		Transport: &http.Transport{
			TLSClientConfig: tlsConfig, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 64,
			DisableCompression: true, // what is compressed stays as it is
		},
		FlushInterval: -1, // a watch event leaves at once
		ErrorLog:      log.New(io.Discard, "", 0),
		// A server that cannot be reached looks as it does without the proxy.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { drop() },
	}, nil
}

func aim(r *httputil.ProxyRequest, target *url.URL) {
	query := r.In.URL.RawQuery
	r.SetURL(target)
	r.Out.URL.RawQuery = query
}

// drop ends a request without an answer: HTTP/1.1 loses the connection, HTTP/2
// the stream.
func drop() { panic(http.ErrAbortHandler) }

// ServeHTTP is one request on its way.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q, err := read(r)
	if err != nil || p.isRefused() {
		drop()
	}
	q, fault, fate := p.enter(q)
	if fate != nil {
		p.end(r, q, fate)
	}
	if fault != nil && p.fail(w, r, q, fault) {
		return
	}
	p.pass(w, r, q)
}

// enter writes a request down and decides what becomes of it, as one step: the
// n-th request is the same for all who count. The fate of a client that is dead
// already is to be dropped, and not even written down.
func (p *Proxy) enter(q Request) (Request, *Fault, *doom) {
	p.mu.Lock()
	d := p.doom
	if d != nil && d.dead {
		p.mu.Unlock()
		drop()
	}
	p.serial++
	q.N = p.serial
	p.log = append(p.log, q)
	p.announce()
	var fate *doom
	if d != nil && d.strikes(q) {
		fate = d
	}
	decide := p.decide
	p.mu.Unlock()
	if fate == nil && decide != nil {
		return q, decide(q), nil
	}
	return q, nil, fate
}
