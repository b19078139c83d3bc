package oci

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/sluice-dev/sluice/internal/artifact"
	"github.com/sluice-dev/sluice/internal/follow"
)

// Client reads one repository with one identity. It is safe for concurrent
// use: equal questions asked at the same time are one request.
type Client struct {
	repo    artifact.Repository
	session *session
	backoff follow.Backoff

	tags      look[[]string]
	etag      tagList // of the last complete list
	mu        sync.Mutex
	heads     map[string]*look[digest.Digest]
	manifests map[digest.Digest]*look[artifact.Manifest]
	layers    map[digest.Digest]*look[struct{}] // that it may read
	used      atomic.Int64                      // unix nanoseconds of the last question
}

// Bounds on what is remembered per client; beyond them the oldest knowledge is
// dropped and asked for again.
const (
	maxHeads     = 256
	maxManifests = 64
)

func newClient(repo artifact.Repository, s *session, b follow.Backoff) *Client {
	return &Client{
		repo: repo, session: s, backoff: b,
		heads: map[string]*look[digest.Digest]{}, manifests: map[digest.Digest]*look[artifact.Manifest]{}, layers: map[digest.Digest]*look[struct{}]{},
	}
}

// Repository is what the client reads.
func (c *Client) Repository() artifact.Repository { return c.repo }

// Tags lists all tags, shared by everybody who asks.
func (c *Client) Tags(ctx context.Context, ask follow.Ask) (follow.Seen[[]string], error) {
	c.touch()
	seen, err := c.tags.get(ctx, ask, c.backoff, func(ctx context.Context) ([]string, error) {
		tags, err := c.listTags(ctx)
		return tags, c.fail("listing tags", err)
	})
	return seen, c.fail("listing tags", err)
}

// Resolve finds the digest that a tag points to now: one HEAD request, shared
// by everybody who follows the tag.
func (c *Client) Resolve(ctx context.Context, tag string, ask follow.Ask) (follow.Seen[digest.Digest], error) {
	c.touch()
	doing := "resolving tag " + tag
	seen, err := remembered(&c.mu, c.heads, tag, maxHeads).get(ctx, ask, c.backoff, func(ctx context.Context) (digest.Digest, error) {
		dgst, err := c.head(ctx, tag)
		return dgst, c.fail(doing, err)
	})
	return seen, c.fail(doing, err)
}

// Manifest reads the manifest with a digest, and thereby proves that this
// identity may read it. A digest never changes its content: a success holds
// for as long as the client lives.
func (c *Client) Manifest(ctx context.Context, dgst digest.Digest, ask follow.Ask) (artifact.Manifest, error) {
	c.touch()
	doing := "reading manifest " + dgst.String()
	known := remembered(&c.mu, c.manifests, dgst, maxManifests)
	if m, ok := known.settled(); ok {
		return m, nil
	}
	seen, err := known.get(ctx, ask, c.backoff, func(ctx context.Context) (artifact.Manifest, error) {
		m, err := c.readManifest(ctx, dgst)
		return m, c.fail(doing, err)
	})
	return seen.Value, c.fail(doing, err)
}

// MayRead proves that this identity may read a layer which is at hand from
// somewhere else: one HEAD request, remembered as long as the client lives.
func (c *Client) MayRead(ctx context.Context, layer ocispec.Descriptor, ask follow.Ask) error {
	c.touch()
	doing := "looking for layer " + layer.Digest.String()
	known := remembered(&c.mu, c.layers, layer.Digest, maxManifests)
	if _, ok := known.settled(); ok {
		return nil
	}
	_, err := known.get(ctx, ask, c.backoff, func(ctx context.Context) (struct{}, error) {
		repo, err := c.remote(ctx)
		if err == nil {
			_, err = repo.Blobs().Resolve(ctx, layer.Digest.String())
		}
		return struct{}{}, c.fail(doing, err)
	})
	return c.fail(doing, err)
}

// Layer streams a layer. The stream fails after stall without a byte; the
// caller verifies the digest and closes it.
func (c *Client) Layer(ctx context.Context, layer ocispec.Descriptor, stall time.Duration) (io.ReadCloser, error) {
	c.touch()
	doing := "downloading layer " + layer.Digest.String()
	guard, ctx := newStallGuard(ctx, stall)
	repo, err := c.remote(ctx)
	if err == nil {
		var body io.ReadCloser
		if body, err = repo.Blobs().Fetch(ctx, layer); err == nil {
			return guard.around(body, func(err error) error { return c.fail(doing, err) }), nil
		}
	}
	return nil, c.fail(doing, guard.explain(err))
}

// Hint says that something may have changed in the repository: whatever was
// learned before now is asked again at the next need.
func (c *Client) Hint(now time.Time) {
	c.tags.hint(now)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, head := range c.heads {
		head.hint(now)
	}
	for _, m := range c.manifests {
		m.hint(now) // only failures: what was read once holds
	}
}

func (c *Client) touch() { c.used.Store(time.Now().UnixNano()) }

func (c *Client) fail(doing string, err error) error {
	if err == nil {
		return nil
	}
	var known *Failure
	if errors.As(err, &known) {
		return err // explained already, and shared with others
	}
	if errors.Is(err, errPaused) {
		return &Failure{Kind: RateLimited, Repository: c.repo, Doing: doing, RetryAt: c.session.pauseUntil(), cause: errPaused}
	}
	err = fail(c.repo, doing, err)
	var f *Failure
	if errors.As(err, &f) && (f.Kind == Unreachable || f.Kind == Interrupted || f.Kind == Broken) {
		c.session.doubtScheme()
	}
	if f != nil && (f.Kind == RateLimited || f.Kind == Broken) && f.RetryAt.IsZero() {
		f.RetryAt = c.session.pauseUntil()
	}
	return err
}

// remote is the library's view of the repository for one call.
func (c *Client) remote(ctx context.Context) (*remote.Repository, error) {
	plain, err := c.session.isPlain(ctx)
	if err != nil {
		return nil, err
	}
	return &remote.Repository{
		Client:    c.session.client(c.repo),
		Reference: registry.Reference{Registry: c.repo.Host, Repository: c.repo.Path},
		PlainHTTP: plain,
	}, nil
}

// head resolves a tag; where HEAD itself is refused, GET is tried as Flux does
// (ocirepository_controller.go getRevision).
func (c *Client) head(ctx context.Context, tag string) (digest.Digest, error) {
	repo, err := c.remote(ctx)
	if err != nil {
		return "", err
	}
	desc, err := repo.Manifests().Resolve(ctx, tag)
	if headRefused(err) {
		var body io.ReadCloser
		if desc, body, err = repo.Manifests().FetchReference(ctx, tag); err == nil {
			err = body.Close()
		}
	}
	return desc.Digest, err
}

func headRefused(err error) bool {
	var resp *errcode.ErrorResponse
	if !errors.As(err, &resp) {
		return false
	}
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusNotImplemented:
		return true
	}
	return false
}

// scoped says which token a request of our own needs.
func (c *Client) scoped(ctx context.Context) context.Context {
	return auth.AppendRepositoryScope(ctx, registry.Reference{Registry: c.repo.Host, Repository: c.repo.Path}, auth.ActionPull)
}

// remembered finds or makes an entry of a bounded map.
func remembered[K comparable, V any](mu *sync.Mutex, m map[K]*V, key K, most int) *V {
	mu.Lock()
	defer mu.Unlock()
	if v, found := m[key]; found {
		return v
	}
	if len(m) >= most {
		for k := range m { // any: what is dropped is only asked again
			delete(m, k)
			break
		}
	}
	v := new(V)
	m[key] = v
	return v
}
