// Package artifacts publishes bundles for tests of Kustomizations: without a
// registry, without a repository and without the controller of either.
//
// In: files, and the name of a GitRepository or ExternalArtifact. Out: that
// object on an API server, Ready with an artifact, and an HTTP server that
// serves it. It never writes other objects, must not run beside a controller of
// these, and must not be used outside tests.
package artifacts

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"
)

// Trouble is what the server does instead of serving.
type Trouble int

// The troubles.
const (
	None    Trouble = iota
	Missing         // 404
	Broken          // 500
	Hanging         // no answer until the client gives up
)

// Server serves everything that was ever published, so that an artifact that is
// replaced meanwhile can still be fetched.
type Server struct {
	http *httptest.Server

	mu       sync.Mutex
	archives map[string][]byte // by path, without the leading slash
	trouble  Trouble
	changed  chan struct{} // closed and replaced with each change of trouble
	asked    map[string]int
}

// New starts a server that ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	s := Start()
	t.Cleanup(s.Stop)
	return s
}

// Start starts a server for all tests of a package; TestMain stops it.
func Start() *Server {
	s := &Server{archives: map[string][]byte{}, asked: map[string]int{}, changed: make(chan struct{})}
	s.http = httptest.NewServer(s)
	return s
}

// Stop ends the server, and the requests that hang.
func (s *Server) Stop() {
	s.http.CloseClientConnections()
	s.http.Close()
}

// Block sets what the server does instead of serving, from now on; requests
// that hang are done when it changes.
func (s *Server) Block(trouble Trouble) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble = trouble
	close(s.changed)
	s.changed = make(chan struct{})
}

// Asked is how often the artifacts of an object were asked for, whatever the
// answer was.
func (s *Server) Asked(namespace, name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[place(namespace, name)]
}

// place is the directory of an object's artifacts, laid out as by
// source-controller (fluxcd/pkg/artifact storage).
func place(namespace, name string) string { return path.Join("gitrepository", namespace, name) }

// ServeHTTP hands out archives.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	s.mu.Lock()
	s.asked[path.Dir(name)]++
	archive, found := s.archives[name]
	trouble, changed := s.trouble, s.changed
	s.mu.Unlock()
	switch {
	case trouble == Hanging:
		select {
		case <-changed:
			http.Error(w, "this request hung", http.StatusServiceUnavailable)
		case <-r.Context().Done():
		}
	case trouble == Broken:
		http.Error(w, "broken on purpose", http.StatusInternalServerError)
	case trouble == Missing || !found:
		http.NotFound(w, r)
	default:
		w.Header().Set("Content-Type", "application/gzip")
		w.Header().Set("Content-Length", fmt.Sprint(len(archive)))
		_, _ = w.Write(archive) // a client that left needs no answer
	}
}
