package oci

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/internal/archive"
	"github.com/sluice-dev/sluice/internal/artifact"
	"github.com/sluice-dev/sluice/internal/follow"
	"github.com/sluice-dev/sluice/internal/publish"
	"github.com/sluice-dev/sluice/internal/source/oci/registrytest"
)

func pack(t testing.TB, content string) publish.Package {
	t.Helper()
	tree, err := archive.NewTree([]archive.File{{Path: "a.yaml", Mode: 0o644, Data: []byte(content)}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := publish.Pack(tree, publish.About{Source: "https://example.com/repo", Revision: "main@sha1:1"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func client(t testing.TB, a Access) *Client {
	t.Helper()
	c, err := NewRegistries(Options{MinRetry: time.Minute}).Client(a)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func login(t testing.TB, text string) Login {
	t.Helper()
	l, err := UserPassword(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func ask() follow.Ask { return follow.Ask{NotBefore: time.Now(), Timeout: 10 * time.Second, Now: true} }

// publishTo pushes one package under tags, with rights to do so.
func publishTo(t testing.TB, r *registrytest.Registry, repo string, tags ...string) publish.Package {
	t.Helper()
	p := pack(t, "kind: ConfigMap\n")
	if _, err := client(t, Access{Repository: r.Repository(repo), Login: login(t, "ana:secret")}).Push(t.Context(), p, tags); err != nil {
		t.Fatal(err)
	}
	r.Requests()
	return p
}

func TestPushThenPull(t *testing.T) {
	r := registrytest.New(t)
	c := client(t, Access{Repository: r.Repository("org/app")})
	p := pack(t, "kind: ConfigMap\n")
	dgst, err := c.Push(t.Context(), p, []string{"v1", "latest"})
	if err != nil {
		t.Fatal(err)
	}
	if dgst != p.Digest() {
		t.Fatalf("pushed as %s, packed as %s", dgst, p.Digest())
	}
	if uploads := r.Count("POST /v2/org/app/blobs/uploads/"); uploads != 2 {
		t.Errorf("%d uploads for one push with two tags, want 2 (content and config)", uploads)
	}
	r.Requests()
	if _, err := c.Push(t.Context(), p, []string{"v2"}); err != nil {
		t.Fatal(err)
	}
	if uploads := r.Count("POST"); uploads != 0 {
		t.Errorf("what was there already was uploaded again: %v", r.Requests())
	}
	for _, tag := range []string{"v1", "latest", "v2"} {
		seen, err := c.Resolve(t.Context(), tag, ask())
		if err != nil || seen.Value != dgst {
			t.Errorf("tag %s is %s, %v; want %s", tag, seen.Value, err, dgst)
		}
	}
	m, err := c.Manifest(t.Context(), dgst, ask())
	if err != nil {
		t.Fatal(err)
	}
	layer, err := m.Select("")
	if err != nil {
		t.Fatal(err)
	}
	body, err := c.Layer(t.Context(), layer, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	tree, err := archive.Read(body, archive.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a.yaml"}, tree.Files()); diff != "" {
		t.Error(diff)
	}
	if m.Annotations["org.opencontainers.image.revision"] != "main@sha1:1" {
		t.Errorf("annotations %v", m.Annotations)
	}
}

func TestTagsAreReadToTheLastPage(t *testing.T) {
	r := registrytest.New(t, registrytest.PageSize(3))
	var want []string
	for i := range 10 {
		want = append(want, fmt.Sprintf("v1.%d.0", i))
	}
	publishTo(t, r, "org/app", want...)
	seen, err := client(t, Access{Repository: r.Repository("org/app")}).Tags(t.Context(), ask())
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(seen.Value)
	if diff := cmp.Diff(want, seen.Value); diff != "" {
		t.Error(diff)
	}
}

func TestAnUnchangedListCostsA304(t *testing.T) {
	r := registrytest.New(t, registrytest.ETags())
	publishTo(t, r, "org/app", "v1", "v2")
	c := client(t, Access{Repository: r.Repository("org/app")})
	for range 2 {
		seen, err := c.Tags(t.Context(), ask())
		slices.Sort(seen.Value)
		if diff := cmp.Diff([]string{"v1", "v2"}, seen.Value); err != nil || diff != "" {
			t.Fatal(err, diff)
		}
	}
	publishTo(t, r, "org/app", "v3")
	seen, err := c.Tags(t.Context(), ask())
	if err != nil || len(seen.Value) != 3 {
		t.Fatalf("after a push: %v, %v", seen.Value, err)
	}
}

func TestTokens(t *testing.T) {
	t.Run("anybody may pull, and one token serves many requests", func(t *testing.T) {
		r := registrytest.New(t, registrytest.Tokens("ana", "secret", 0))
		publishTo(t, r, "org/app", "v1")
		c := client(t, Access{Repository: r.Repository("org/app")})
		for range 5 {
			if _, err := c.Resolve(t.Context(), "v1", ask()); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Tags(t.Context(), ask()); err != nil {
				t.Fatal(err)
			}
		}
		if n := r.Count("/token"); n != 1 {
			t.Errorf("%d tokens for 10 requests of one repository, want 1", n)
		}
	})
	t.Run("an expired token is renewed", func(t *testing.T) {
		r := registrytest.New(t, registrytest.Tokens("ana", "secret", 2))
		publishTo(t, r, "org/app", "v1")
		c := client(t, Access{Repository: r.Repository("org/app")})
		for range 7 {
			if _, err := c.Resolve(t.Context(), "v1", ask()); err != nil {
				t.Fatal(err)
			}
		}
		if n := r.Count("/token"); n < 3 {
			t.Errorf("%d tokens for 7 requests with tokens good for 2", n)
		}
	})
	t.Run("without credentials nobody pushes", func(t *testing.T) {
		r := registrytest.New(t, registrytest.Tokens("ana", "secret", 0))
		_, err := client(t, Access{Repository: r.Repository("org/app")}).Push(t.Context(), pack(t, "x"), []string{"v1"})
		wantKind(t, err, Forbidden)
	})
	t.Run("wrong credentials are said so", func(t *testing.T) {
		r := registrytest.New(t, registrytest.PrivateTokens("ana", "secret", 0))
		publishTo(t, r, "org/app", "v1")
		for _, l := range []Login{nil, login(t, "ana:wrong")} {
			_, err := client(t, Access{Repository: r.Repository("org/app"), Login: l}).Tags(t.Context(), ask())
			wantKind(t, err, Unauthorized)
			if strings.Contains(err.Error(), "wrong") {
				t.Errorf("the error tells the password: %v", err)
			}
		}
	})
}

func wantKind(t *testing.T, err error, kind Kind) {
	t.Helper()
	var f *Failure
	if !errors.As(err, &f) || f.Kind != kind {
		t.Errorf("got %v; want a failure of kind %q", err, kind)
	}
}

func TestFailures(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault func(http.ResponseWriter, *http.Request) bool
		kind  Kind
		text  string
	}{
		{"401", registrytest.Answer(401), Unauthorized, "listing tags of HOST/org/app: the registry answered 401 Unauthorized"},
		{"403", registrytest.Answer(403), Forbidden, "listing tags of HOST/org/app: the registry answered 403 Forbidden"},
		{"404", registrytest.Answer(404), NotFound, "listing tags of HOST/org/app: the registry answered 404 Not Found"},
		{"429", registrytest.Answer(429), RateLimited, "listing tags of HOST/org/app: the registry answered 429 Too Many Requests"},
		{"500", registrytest.Answer(500), Broken, "listing tags of HOST/org/app: the registry answered 500 Internal Server Error"},
		{"cut", registrytest.Cut, Interrupted, "listing tags of HOST/org/app: HOST broke the connection off"},
		{"hang", registrytest.Hang, TimedOut, "listing tags of HOST/org/app: no answer in time"},
		{"no JSON", func(w http.ResponseWriter, _ *http.Request) bool {
			fmt.Fprint(w, "<html>welcome to the proxy</html>")
			return true
		}, Broken, "listing tags of HOST/org/app: the list of tags cannot be read: invalid character '<' looking for beginning of value"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := registrytest.New(t)
			r.Fault(c.fault)
			question := ask()
			question.Timeout = time.Second
			_, err := client(t, Access{Repository: r.Repository("org/app")}).Tags(t.Context(), question)
			wantKind(t, err, c.kind)
			if got := strings.ReplaceAll(fmt.Sprint(err), r.Host(), "HOST"); got != c.text {
				t.Errorf("text\n %s\nwant\n %s", got, c.text)
			}
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		r := registrytest.New(t)
		repo := r.Repository("org/app")
		r.Server.Close()
		_, err := client(t, Access{Repository: repo}).Tags(t.Context(), ask())
		wantKind(t, err, Unreachable)
		if !strings.Contains(err.Error(), "refused the connection") {
			t.Error(err)
		}
	})
	t.Run("unknown host", func(t *testing.T) {
		_, err := client(t, Access{Repository: artifact.Repository{Host: "no-such-host.invalid", Path: "a/b"}}).Tags(t.Context(), ask())
		wantKind(t, err, Unreachable)
	})
}

func TestRetryAfterIsObeyedByAll(t *testing.T) {
	r := registrytest.New(t)
	publishTo(t, r, "org/app", "v1")
	r.Fault(registrytest.Answer(429, "Retry-After", "60"))
	registries := NewRegistries(Options{MinRetry: time.Millisecond})
	app, err := registries.Client(Access{Repository: r.Repository("org/app")})
	if err != nil {
		t.Fatal(err)
	}
	other, err := registries.Client(Access{Repository: r.Repository("org/other")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = app.Tags(t.Context(), ask())
	var f *Failure
	if !errors.As(err, &f) || time.Until(f.RetryAt) < 50*time.Second {
		t.Fatalf("%v, retry at %v; want a minute from now", err, f)
	}
	r.Requests()
	for _, c := range []*Client{app, other} {
		_, err := c.Tags(t.Context(), ask())
		wantKind(t, err, RateLimited)
	}
	if got := r.Requests(); len(got) > 0 {
		t.Errorf("asked during the pause: %v", got)
	}
}

func TestHeadRefusedThenGet(t *testing.T) {
	r := registrytest.New(t)
	p := publishTo(t, r, "org/app", "v1")
	r.Fault(func(w http.ResponseWriter, req *http.Request) bool {
		if req.Method == http.MethodHead {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return true
		}
		return false
	})
	seen, err := client(t, Access{Repository: r.Repository("org/app")}).Resolve(t.Context(), "v1", ask())
	if err != nil || seen.Value != p.Digest() {
		t.Fatalf("%s, %v; want %s", seen.Value, err, p.Digest())
	}
}

func TestAStalledDownloadEnds(t *testing.T) {
	r := registrytest.New(t)
	p := publishTo(t, r, "org/app", "v1")
	c := client(t, Access{Repository: r.Repository("org/app")})
	r.Fault(registrytest.Only("/blobs/", func(w http.ResponseWriter, req *http.Request) bool {
		w.Header().Set("Content-Length", fmt.Sprint(p.Layer.Size))
		_, _ = w.Write(p.Layer.Content[:10])
		w.(http.Flusher).Flush()
		<-req.Context().Done()
		return true
	}))
	body, err := c.Layer(t.Context(), p.Layer.Descriptor, 200*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	_, err = io.ReadAll(body)
	wantKind(t, err, TimedOut)
}

func TestTLS(t *testing.T) {
	r := registrytest.New(t, registrytest.TLS())
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Server.Certificate().Raw})
	trusting := Access{Repository: r.Repository("org/app"), TLS: TLS{CA: ca}}
	if _, err := client(t, trusting).Push(t.Context(), pack(t, "x"), []string{"v1"}); err != nil {
		t.Fatalf("with its CA: %v", err)
	}
	if _, err := client(t, Access{Repository: r.Repository("org/app"), Insecure: true}).Tags(t.Context(), ask()); err != nil {
		t.Errorf("insecure: %v", err)
	}
	_, err := client(t, Access{Repository: r.Repository("org/app")}).Tags(t.Context(), ask())
	wantKind(t, err, Unreachable)
	if err == nil || !strings.Contains(err.Error(), "is not trusted") {
		t.Errorf("without its CA: %v", err)
	}
	if _, err := NewRegistries(Options{}).Client(Access{Repository: r.Repository("org/app"), TLS: TLS{CA: []byte("no PEM")}}); err == nil {
		t.Error("a CA that is none was accepted")
	}
}

// One poller per repository and identity: a hundred sources that ask at the
// same moment are one list and one HEAD per tag.
func TestManyAskOnce(t *testing.T) {
	r := registrytest.New(t)
	publishTo(t, r, "org/app", "v1", "v2")
	registries := NewRegistries(Options{})
	now := time.Now()
	var wg sync.WaitGroup
	var failed atomic.Int32
	for i := range 100 {
		wg.Go(func() {
			c, err := registries.Client(Access{Repository: r.Repository("org/app")})
			if err != nil {
				failed.Add(1)
				return
			}
			question := follow.Ask{NotBefore: now, Timeout: 10 * time.Second}
			if _, err := c.Tags(context.Background(), question); err != nil {
				failed.Add(1)
			}
			if _, err := c.Resolve(context.Background(), []string{"v1", "v2"}[i%2], question); err != nil {
				failed.Add(1)
			}
		})
	}
	wg.Wait()
	if failed.Load() > 0 {
		t.Fatalf("%d calls failed", failed.Load())
	}
	if lists, heads := r.Count("/tags/list"), r.Count("HEAD /v2/org/app/manifests/"); lists != 1 || heads != 2 {
		t.Errorf("%d lists and %d HEADs for 100 sources on two tags, want 1 and 2", lists, heads)
	}
}

// Nothing that one identity learned reaches another.
func TestIdentitiesShareNothing(t *testing.T) {
	r := registrytest.New(t, registrytest.PrivateTokens("ana", "secret", 0))
	p := publishTo(t, r, "org/app", "v1")
	registries := NewRegistries(Options{})
	open := func(l Login) *Client {
		c, err := registries.Client(Access{Repository: r.Repository("org/app"), Login: l})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if _, err := open(login(t, "ana:secret")).Manifest(t.Context(), p.Digest(), ask()); err != nil {
		t.Fatal(err)
	}
	_, err := open(nil).Manifest(t.Context(), p.Digest(), ask())
	wantKind(t, err, Unauthorized)
	_, err = open(login(t, "eve:guess")).Manifest(t.Context(), p.Digest(), ask())
	wantKind(t, err, Unauthorized)
}
