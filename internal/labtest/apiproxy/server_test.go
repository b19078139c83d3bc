package apiproxy_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/sluice-dev/sluice/internal/labtest/apiproxy"
)

const patience = 30 * time.Second

// server imitates what the proxy can tell apart of an API server: ConfigMaps
// that are read, applied and watched.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	version  int
	values   map[string]string
	seen     []http.Header
	watchers []chan string
}

func newServer(t *testing.T) *server {
	s := &server{values: map[string]string{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, ofOne := strings.CutPrefix(r.URL.Path, "/api/v1/namespaces/ns/configmaps/")
	s.mu.Lock()
	s.seen = append(s.seen, r.Header.Clone())
	s.mu.Unlock()
	switch {
	case r.URL.Query().Get("watch") == "true":
		s.watch(w, r)
	case r.Method == http.MethodPatch:
		s.put(name, "applied")
		s.answer(w, r, s.get(name))
	case ofOne:
		s.answer(w, r, s.get(name))
	default:
		http.NotFound(w, r)
	}
}

// put changes an object and tells the watches.
func (s *server) put(name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	s.values[name] = value
	for _, w := range s.watchers {
		w <- name
	}
}

func (s *server) get(name string) *corev1.ConfigMap {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, ResourceVersion: fmt.Sprint(s.version)},
		Data:       map[string]string{"value": s.values[name]},
	}
}

// writes is the number of changes that reached the server.
func (s *server) writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version
}

func (s *server) headers() []http.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

func (s *server) answer(w http.ResponseWriter, r *http.Request, o any) {
	w.Header().Set("Content-Type", "application/json")
	if r.Header.Get("Accept-Encoding") != "gzip" {
		json.NewEncoder(w).Encode(o)
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	gz := gzip.NewWriter(w)
	json.NewEncoder(gz).Encode(o)
	gz.Close()
}

func (s *server) watch(w http.ResponseWriter, r *http.Request) {
	news := make(chan string, 16)
	s.mu.Lock()
	s.watchers = append(s.watchers, news)
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	http.NewResponseController(w).Flush()
	for {
		select {
		case name := <-news:
			json.NewEncoder(w).Encode(map[string]any{"type": "MODIFIED", "object": s.get(name)})
			http.NewResponseController(w).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

// world is a server, a proxy before it and a client of the proxy.
type world struct {
	*testing.T
	server *server
	proxy  *apiproxy.Proxy
	client kubernetes.Interface
}

// protocols runs a test over each protocol that a client may speak.
func protocols(t *testing.T, test func(*world)) {
	t.Helper()
	for _, protocol := range []string{"h2", "http/1.1"} {
		t.Run(strings.ReplaceAll(protocol, "/", ""), func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			p := apiproxy.New(t, &rest.Config{Host: s.URL, BearerToken: "token", QPS: -1})
			c := p.Config()
			c.NextProtos = []string{protocol}
			test(&world{T: t, server: s, proxy: p, client: kubernetes.NewForConfigOrDie(c)})
		})
	}
}

func (w *world) context(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(w.Context(), d)
	w.Cleanup(cancel)
	return ctx
}

func (w *world) get(ctx context.Context, name string) (string, error) {
	cm, err := w.client.CoreV1().ConfigMaps("ns").Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	return cm.Data["value"], nil
}

func (w *world) apply(ctx context.Context, name string) error {
	_, err := w.client.CoreV1().ConfigMaps("ns").Patch(ctx, name, "application/apply-patch+yaml", []byte("{}"), metav1.PatchOptions{FieldManager: "test"})
	return err
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}
