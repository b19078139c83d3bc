package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/sluice-dev/sluice/internal/follow"
)

func open(t *testing.T, root string) *Store {
	t.Helper()
	s, err := Open(root, Options{Address: "artifacts.test", KeepFor: time.Minute, KeepRecords: 2})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

func from(content string) follow.Supply {
	return supply(func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil })
}

// supply is a source that may have everything.
func supply(fetch func(context.Context) (io.ReadCloser, error)) follow.Supply {
	return follow.Supply{Fetch: fetch, Prove: func(context.Context) error { return nil }}
}

var app = follow.Source{Kind: "OCIRepository", Namespace: "apps", Name: "app"}

func TestPublishAndServe(t *testing.T) {
	s := open(t, t.TempDir())
	p, err := s.Publish(app, "sha256:1.tar.gz", text("one"))
	if err != nil {
		t.Fatal(err)
	}
	if want := digest.FromString("one"); p.Digest != want || p.Size != 3 {
		t.Errorf("published %s with %d bytes, want %s with 3", p.Digest, p.Size, want)
	}
	if p.URL != "http://artifacts.test/ocirepository/apps/app/sha256:1.tar.gz" || p.Latest != "http://artifacts.test/ocirepository/apps/app/latest.tar.gz" {
		t.Errorf("served at %s and %s", p.URL, p.Latest)
	}
	server := httptest.NewServer(s.Handler())
	defer server.Close()
	get := func(path string) (int, string) {
		resp, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	if _, err := s.Publish(app, "sha256:2.tar.gz", text("two")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/" + p.Path:                            "one",
		"/ocirepository/apps/app/latest.tar.gz": "two",
	} {
		if status, body := get(path); status != http.StatusOK || body != want {
			t.Errorf("GET %s: %d %q, want %q", path, status, body, want)
		}
	}
	for _, path := range []string{
		"/", "/ocirepository/", "/ocirepository/apps/app/", "/ocirepository/apps/app/none.tar.gz", "/.content/archives/" + p.Digest.Encoded(),
		"/.content/layers/sha256/x", "/ocirepository/apps/app/../../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd",
	} {
		if status, body := get(path); status == http.StatusOK {
			t.Errorf("GET %s shows %q", path, body)
		}
	}
	resp, err := http.Post(server.URL+"/"+p.Path, "text/plain", nil)
	if err != nil || resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %v, %v", resp, err)
	}
}

func TestEqualContentIsKeptOnce(t *testing.T) {
	s := open(t, t.TempDir())
	for i := range 10 {
		if _, err := s.Publish(follow.Source{Kind: "OCIRepository", Namespace: "apps", Name: fmt.Sprint(i)}, "a.tar.gz", text("same")); err != nil {
			t.Fatal(err)
		}
	}
	archives, err := os.ReadDir(filepath.Join(s.root, content, "archives"))
	if err != nil || len(archives) != 1 {
		t.Errorf("%d files for one content, %v", len(archives), err)
	}
}

func TestFailedWritesLeaveNothing(t *testing.T) {
	s := open(t, t.TempDir())
	before, err := s.Publish(app, "a.tar.gz", text("good"))
	if err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	_, err = s.Publish(app, "a.tar.gz", func(w io.Writer) error {
		_, _ = io.WriteString(w, "half")
		return boom
	})
	if !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	if _, ok, err := s.Find(app, before.Path, before.Digest); !ok || err != nil {
		t.Errorf("the good file suffered: %v, %v", ok, err)
	}
	partial, err := os.ReadDir(filepath.Join(s.root, content, "partial"))
	if err != nil || len(partial) != 0 {
		t.Errorf("left behind: %v, %v", partial, err)
	}
	for _, name := range []string{"", "../x", "a/b", ".hidden", "latest.tar.gz"} {
		if _, err := s.Publish(app, name, text("x")); err == nil {
			t.Errorf("published as %q", name)
		}
	}
}

func TestWhatWasChangedOnDiskIsNotFound(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	p, err := s.Publish(app, "a.tar.gz", text("good"))
	if err != nil {
		t.Fatal(err)
	}
	again := open(t, root) // another process: it has to look for itself
	if _, ok, err := again.Find(app, p.Path, p.Digest); !ok || err != nil {
		t.Fatalf("after a restart: %v, %v", ok, err)
	}
	if err := os.WriteFile(filepath.Join(root, filepath.FromSlash(p.Path)), []byte("evil!"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Store{s, again} {
		if _, ok, err := s.Find(app, p.Path, p.Digest); ok || err != nil {
			t.Errorf("found although changed: %v, %v", ok, err)
		}
	}
	p, err = s.Publish(app, "a.tar.gz", text("good"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(p.Path))); err != nil || string(got) != "good" {
		t.Errorf("published again: %q, %v", got, err)
	}
}

func TestLayerIsDownloadedOnceForAll(t *testing.T) {
	s := open(t, t.TempDir())
	var fetched atomic.Int32
	gate := make(chan struct{})
	fetch := func(context.Context) (io.ReadCloser, error) {
		fetched.Add(1)
		<-gate
		return io.NopCloser(strings.NewReader("layer")), nil
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			body, err := s.Layer(t.Context(), digest.FromString("layer"), 5, supply(fetch))
			if err != nil {
				t.Error(err)
				return
			}
			defer body.Close()
			if got, err := io.ReadAll(body); err != nil || string(got) != "layer" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	close(gate)
	wg.Wait()
	if fetched.Load() != 1 {
		t.Errorf("fetched %d times", fetched.Load())
	}
}

func TestLayerIsVerified(t *testing.T) {
	s := open(t, t.TempDir())
	want := digest.FromString("layer")
	for name, c := range map[string]struct {
		body string
		size int64
	}{"other": {"other", 5}, "longer": {"layer and more", 5}, "shorter": {"lay", 5}, "unknown size": {"other", -1}} {
		if _, err := s.Layer(t.Context(), want, c.size, from(c.body)); !errors.Is(err, ErrWrongContent) {
			t.Errorf("%s: %v", name, err)
		}
	}
	body, err := s.Layer(t.Context(), want, 5, from("layer"))
	if err != nil {
		t.Fatal(err)
	}
	body.Close()
	// Damage on disk is noticed, and mended by the next fetch.
	if err := os.WriteFile(s.layerPath(want), []byte("wrong"), 0o600); err != nil {
		t.Fatal(err)
	}
	body, err = s.Layer(t.Context(), want, 5, from("layer"))
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, []byte("layer")) {
		t.Errorf("got %q, %v", got, err)
	}
}

// When the one who downloads fails, those who wait try with their own right.
func TestAFailedDownloadIsTheOneWhoDidIt(t *testing.T) {
	s := open(t, t.TempDir())
	started, release := make(chan struct{}), make(chan struct{})
	boom := errors.New("not for you")
	first := make(chan error, 1)
	go func() {
		_, err := s.Layer(context.Background(), digest.FromString("layer"), 5, supply(func(context.Context) (io.ReadCloser, error) {
			close(started)
			<-release
			return nil, boom
		}))
		first <- err
	}()
	<-started
	second := make(chan error, 1)
	go func() {
		body, err := s.Layer(context.Background(), digest.FromString("layer"), 5, from("layer"))
		if err == nil {
			body.Close()
		}
		second <- err
	}()
	close(release)
	if err := <-first; !errors.Is(err, boom) {
		t.Errorf("the first got %v", err)
	}
	if err := <-second; err != nil {
		t.Errorf("the second got %v", err)
	}
}

// What somebody else downloaded is only for those who may have it.
func TestALayerAtHandHasToBeEarned(t *testing.T) {
	s := open(t, t.TempDir())
	d := digest.FromString("layer")
	body, err := s.Layer(t.Context(), d, 5, from("layer"))
	if err != nil {
		t.Fatal(err)
	}
	body.Close()
	refused := errors.New("not yours")
	stranger := follow.Supply{
		Fetch: func(context.Context) (io.ReadCloser, error) {
			t.Error("downloaded again")
			return nil, refused
		},
		Prove: func(context.Context) error { return refused },
	}
	if body, err := s.Layer(t.Context(), d, 5, stranger); !errors.Is(err, refused) || body != nil {
		t.Errorf("a stranger got %v, %v", body, err)
	}
}

func TestRetireKeepsTheCurrentAndTheYoung(t *testing.T) {
	s := open(t, t.TempDir())
	var current follow.Published
	for i := range 5 {
		p, err := s.Publish(app, fmt.Sprintf("sha256:%d.tar.gz", i), text(fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(int64(1000+i), 0)
		if err := os.Chtimes(filepath.Join(s.root, filepath.FromSlash(p.Path)), at, at); err != nil {
			t.Fatal(err)
		}
		current = p
	}
	if n, err := s.Retire(app, current.Path, time.Unix(1030, 0)); n != 0 || err != nil {
		t.Errorf("%d young files removed, %v", n, err)
	}
	if n, err := s.Retire(app, current.Path, time.Unix(2000, 0)); n != 3 || err != nil {
		t.Errorf("%d old files removed, %v; want 3: the current and one more stay", n, err)
	}
	if err := s.Collect(time.Now().Add(2 * keepLayer)); err != nil {
		t.Fatal(err)
	}
	archives, err := os.ReadDir(filepath.Join(s.root, content, "archives"))
	if err != nil || len(archives) != 2 {
		t.Errorf("%d contents kept for 2 files, %v", len(archives), err)
	}
	if _, ok, err := s.Find(app, current.Path, current.Digest); !ok || err != nil {
		t.Errorf("the current one: %v, %v", ok, err)
	}
	if err := s.Remove(app); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := s.Find(app, current.Path, current.Digest); ok || err != nil {
		t.Errorf("found after removal: %v, %v", ok, err)
	}
}
