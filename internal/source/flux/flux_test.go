package flux_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/opencontainers/go-digest"

	"github.com/sluice-dev/sluice/internal/archive"
	"github.com/sluice-dev/sluice/internal/deliver"
	"github.com/sluice-dev/sluice/internal/source/flux"
)

// server serves one artifact and counts how often it is asked for.
type server struct {
	*httptest.Server
	artifact *meta.Artifact
	asked    atomic.Int32
	answer   atomic.Pointer[http.HandlerFunc]
}

func serve(t *testing.T, text string) *server {
	t.Helper()
	tree, err := archive.NewTree([]archive.File{{Path: "a.yaml", Mode: 0o644, Data: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	if err := archive.Write(&packed, tree, archive.NormalModes, nil); err != nil {
		t.Fatal(err)
	}
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		if answer := s.answer.Load(); answer != nil {
			(*answer)(w, r)
			return
		}
		w.Write(packed.Bytes())
	}))
	t.Cleanup(s.Close)
	s.artifact = &meta.Artifact{Path: "gitrepository/ns/app/x.tar.gz", URL: s.URL + "/x.tar.gz", Revision: "v1", Digest: digest.FromBytes(packed.Bytes()).String()}
	return s
}

func (s *server) answers(f http.HandlerFunc) { s.answer.Store(&f) }

// All who want a bundle share one download, and those who come later too.
func TestReadOnceForAll(t *testing.T) {
	s := serve(t, "hello")
	o := flux.New(flux.Options{Memory: 1 << 20})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			b, err := o.Open(t.Context(), s.artifact)
			if err != nil {
				t.Error(err)
				return
			}
			if text, err := fs.ReadFile(b.FS, "a.yaml"); string(text) != "hello" || err != nil || b.Digest != s.artifact.Digest {
				t.Errorf("%q, %v, %s", text, err, b.Digest)
			}
		})
	}
	all.Wait()
	if n := s.asked.Load(); n != 1 {
		t.Errorf("downloaded %d times", n)
	}
}

// Without room nothing is held, and everything still works.
func TestNothingIsHeldWithoutRoom(t *testing.T) {
	s := serve(t, "hello")
	o := flux.New(flux.Options{})
	for range 2 {
		if _, err := o.Open(t.Context(), s.artifact); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.asked.Load(); n != 2 {
		t.Errorf("downloaded %d times", n)
	}
}

func TestWhatIsNotThereIsWaitedFor(t *testing.T) {
	s := serve(t, "hello")
	o := flux.New(flux.Options{Memory: 1 << 20})
	for name, answer := range map[string]http.HandlerFunc{
		"gone":     http.NotFound,
		"replaced": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "something else") },
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, "\x1f\x8b")
		},
	} {
		s.answers(answer)
		if _, err := o.Open(t.Context(), s.artifact); !errors.Is(err, deliver.ErrNoArtifact) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	if _, err := o.Open(t.Context(), s.artifact); err == nil || errors.Is(err, deliver.ErrNoArtifact) || !strings.Contains(err.Error(), "503") {
		t.Errorf("failing server: %v", err)
	}
	s.answer.Store(nil)
	if _, err := o.Open(t.Context(), s.artifact); err != nil {
		t.Errorf("a failure is not remembered: %v", err)
	}
}

// What this process published itself is not fetched over HTTP.
func TestOwnArtifactsAreReadFromDisk(t *testing.T) {
	s := serve(t, "hello")
	direct := flux.New(flux.Options{})
	if _, err := direct.Open(t.Context(), s.artifact); err != nil {
		t.Fatal(err)
	}
	response, err := http.Get(s.artifact.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	before := s.asked.Load()
	o := flux.New(flux.Options{Local: func(path string, d digest.Digest) (io.ReadCloser, bool, error) {
		return io.NopCloser(bytes.NewReader(content)), path == s.artifact.Path && d.String() == s.artifact.Digest, nil
	}})
	if _, err := o.Open(t.Context(), s.artifact); err != nil || s.asked.Load() != before {
		t.Errorf("%v, asked %d times more", err, s.asked.Load()-before)
	}
}

func TestUnreachableServersHaveOneText(t *testing.T) {
	s := serve(t, "hello")
	s.Close()
	_, err := flux.New(flux.Options{}).Open(t.Context(), s.artifact)
	if err == nil || !strings.HasSuffix(err.Error(), ": connection refused") {
		t.Errorf("%v", err)
	}
}
