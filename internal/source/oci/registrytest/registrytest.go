// Package registrytest serves a registry inside a test: spec-true underneath,
// with tokens, faults and a log of requests on top.
//
// In: what should go wrong, and when. Out: an address to talk to, and what was
// asked there. It is for tests only.
package registrytest

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/sluice-dev/sluice/internal/artifact"
)

// Registry is a registry with a will of its own.
type Registry struct {
	Server *httptest.Server

	mu       sync.Mutex
	requests []string
	fault    func(w http.ResponseWriter, r *http.Request) bool
	tokens   *tokens
	pageSize int
	etags    bool
	tls      bool
	inner    http.Handler
}

// Option changes a registry before it serves.
type Option func(*Registry)

// New serves until the test ends. It speaks plain HTTP unless TLS is given.
func New(t testing.TB, options ...Option) *Registry {
	t.Helper()
	r := &Registry{inner: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	for _, o := range options {
		o(r)
	}
	r.Server = httptest.NewUnstartedServer(r)
	r.Server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if r.tls {
		r.Server.StartTLS()
	} else {
		r.Server.Start()
	}
	t.Cleanup(func() {
		r.Server.CloseClientConnections() // those that hang would hold Close up for ever
		r.Server.Close()
	})
	return r
}

// TLS serves HTTPS with the test certificate of net/http/httptest.
func TLS() Option {
	return func(r *Registry) { r.tls = true }
}

// Tokens demands a bearer token for everything, as ghcr.io does: anybody gets
// one to pull; with user and password also to push. A token is good for uses
// requests; 0 is for ever.
func Tokens(user, password string, uses int) Option {
	return func(r *Registry) {
		r.tokens = &tokens{user: user, password: password, uses: uses, issued: map[string]*token{}}
	}
}

// PrivateTokens is Tokens without tokens for anybody.
func PrivateTokens(user, password string, uses int) Option {
	return func(r *Registry) {
		Tokens(user, password, uses)(r)
		r.tokens.private = true
	}
}

// PageSize answers lists of tags in pages of this size.
func PageSize(n int) Option { return func(r *Registry) { r.pageSize = n } }

// ETags answers lists of tags with an ETag, and 304 where it matches.
func ETags() Option { return func(r *Registry) { r.etags = true } }

// Host is the address as part of an image reference.
func (r *Registry) Host() string { return strings.SplitN(r.Server.URL, "://", 2)[1] }

// Repository names a repository of the registry.
func (r *Registry) Repository(path string) artifact.Repository {
	return artifact.Repository{Host: r.Host(), Path: path}
}

// Fault sets what happens to requests before the registry sees them: true says
// that the request was answered. nil ends it.
func (r *Registry) Fault(f func(w http.ResponseWriter, req *http.Request) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = f
}

// Answer is a Fault: a status for every API request except the ping.
func Answer(status int, headers ...string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		return true
	}
}

// Hang is a Fault: no answer until the client gives up.
func Hang(_ http.ResponseWriter, r *http.Request) bool {
	<-r.Context().Done()
	return true
}

// Cut is a Fault: the connection breaks off in the middle of the answer.
func Cut(w http.ResponseWriter, _ *http.Request) bool {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"name\":\"half"))
		conn.Close()
	}
	return true
}

// Only restricts a Fault to requests whose path contains a text.
func Only(part string, f func(http.ResponseWriter, *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		return strings.Contains(r.URL.Path, part) && f(w, r)
	}
}

// Requests returns "METHOD path" of all requests so far, and forgets them.
func (r *Registry) Requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.requests
	r.requests = nil
	return got
}

// Count counts requests whose "METHOD path" contains a text, without forgetting.
func (r *Registry) Count(part string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, request := range r.requests {
		if strings.Contains(request, part) {
			n++
		}
	}
	return n
}

// ServeHTTP implements http.Handler.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.requests = append(r.requests, req.Method+" "+req.URL.Path)
	fault := r.fault
	r.mu.Unlock()
	if req.URL.Path == "/token" && r.tokens != nil {
		r.tokens.issue(w, req)
		return
	}
	if fault != nil && req.URL.Path != "/v2/" && fault(w, req) {
		return
	}
	if r.tokens != nil && !r.tokens.allow(w, req, r.Server.URL) {
		return
	}
	if strings.HasSuffix(req.URL.Path, "/tags/list") && (r.pageSize > 0 || r.etags) {
		r.list(w, req)
		return
	}
	r.inner.ServeHTTP(w, req)
}

// list pages through the inner registry's list, whose own paging has no links.
func (r *Registry) list(w http.ResponseWriter, req *http.Request) {
	all := httptest.NewRecorder()
	whole := req.Clone(req.Context())
	whole.URL.RawQuery = ""
	r.inner.ServeHTTP(all, whole)
	var body struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}
	if all.Code != http.StatusOK || json.Unmarshal(all.Body.Bytes(), &body) != nil {
		w.WriteHeader(all.Code)
		_, _ = w.Write(all.Body.Bytes())
		return
	}
	slices.Sort(body.Tags)
	if r.etags {
		etag := strconv.Quote(strings.Join(body.Tags, ","))
		w.Header().Set("ETag", etag)
		if req.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	if r.pageSize > 0 {
		from := 0
		if last := req.URL.Query().Get("last"); last != "" {
			from = slices.Index(body.Tags, last) + 1
		}
		body.Tags = body.Tags[from:]
		if len(body.Tags) > r.pageSize {
			body.Tags = body.Tags[:r.pageSize]
			w.Header().Set("Link", fmt.Sprintf(`<%s?n=%d&last=%s>; rel="next"`, req.URL.Path, r.pageSize, body.Tags[r.pageSize-1]))
		}
	}
	_ = json.NewEncoder(w).Encode(body)
}

// tokens is a token server (distribution specification, "Token Authentication").
type tokens struct {
	user, password string
	uses           int
	private        bool

	mu     sync.Mutex
	issued map[string]*token
}

type token struct {
	scopes []string
	used   int
}

func (s *tokens) issue(w http.ResponseWriter, r *http.Request) {
	user, password, given := r.BasicAuth()
	known := given && user == s.user && password == s.password
	if given && !known || !given && s.private {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var scopes []string
	for _, scope := range r.URL.Query()["scope"] {
		if !known {
			scope = strings.ReplaceAll(strings.ReplaceAll(scope, ",push", ""), "push,", "")
		}
		scopes = append(scopes, scope)
	}
	s.mu.Lock()
	text := rand.Text()
	s.issued[text] = &token{scopes: scopes}
	s.mu.Unlock()
	_ = json.NewEncoder(w).Encode(map[string]any{"token": text, "expires_in": 300, "issued_at": time.Now().UTC().Format(time.RFC3339)})
}

// allow checks a request's token, or answers with a challenge.
func (s *tokens) allow(w http.ResponseWriter, r *http.Request, server string) bool {
	action, path := "pull", strings.TrimPrefix(r.URL.Path, "/v2/")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		action = "push"
	}
	for _, part := range []string{"/manifests/", "/blobs/", "/tags/"} {
		path, _, _ = strings.Cut(path, part)
	}
	text, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.issued[text]
	if bearer && t != nil {
		t.used++
		if s.uses == 0 || t.used <= s.uses {
			for _, scope := range t.scopes {
				if parts := strings.Split(scope, ":"); len(parts) == 3 && parts[1] == path && strings.Contains(parts[2], action) {
					return true
				}
			}
			if path == "" {
				return true
			}
			if s.uses == 0 {
				w.WriteHeader(http.StatusForbidden)
				return false
			}
		}
	}
	challenge := fmt.Sprintf(`Bearer realm="%s/token",service="test"`, server)
	if path != "" {
		challenge += fmt.Sprintf(`,scope="repository:%s:pull"`, path)
		if action == "push" {
			challenge = strings.TrimSuffix(challenge, `pull"`) + `pull,push"`
		}
	}
	w.Header().Set("WWW-Authenticate", challenge)
	w.WriteHeader(http.StatusUnauthorized)
	return false
}
