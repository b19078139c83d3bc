// Package flux opens what sources have published: artifacts served over HTTP,
// as every source controller of Flux does, and as this process does itself.
//
// In: the artifact of a source's status. Out: a bundle, read-only, named by the
// digest of its archive. An artifact is read once for all who want it; what
// does not have its digest is not used. It never reads a registry or a cluster.
package flux

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/opencontainers/go-digest"

	"github.com/sluice-dev/sluice/internal/archive"
	"github.com/sluice-dev/sluice/internal/deliver"
)

// Options of an Opener.
type Options struct {
	// Local opens an artifact that this process published itself; found is false
	// if it did not. May be nil.
	Local func(path string, d digest.Digest) (content io.ReadCloser, found bool, err error)
	// Limits of an archive, unpacked.
	Limits archive.Limits
	// Memory bounds the bytes of bundles that are held for the next who wants
	// them.
	Memory int64
	// Localhost replaces the host of URLs for development outside of the cluster
	// (SOURCE_CONTROLLER_LOCALHOST).
	Localhost string
}

// Opener opens bundles.
type Opener struct {
	options Options
	client  *http.Client
	shelf   shelf
}

// New makes an opener.
func New(o Options) *Opener {
	if o.Limits == (archive.Limits{}) {
		o.Limits = archive.DefaultLimits
	}
	return &Opener{
		options: o,
		client: &http.Client{Timeout: 5 * time.Minute, Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			ResponseHeaderTimeout: 30 * time.Second, IdleConnTimeout: 90 * time.Second, MaxIdleConnsPerHost: 4,
		}},
		shelf: shelf{limit: o.Memory},
	}
}

// Open implements deliver.Bundles. deliver.ErrNoArtifact means that the file
// is not there, or that it was replaced since the status was read.
func (o *Opener) Open(ctx context.Context, a *meta.Artifact) (deliver.Bundle, error) {
	d, err := digest.Parse(a.Digest)
	if err != nil {
		return deliver.Bundle{}, fmt.Errorf("the artifact of revision %s has no usable digest %q: %w", a.Revision, a.Digest, err)
	}
	tree, err := o.shelf.get(ctx, d, func(ctx context.Context) (*archive.Tree, error) { return o.read(ctx, a, d) })
	if err != nil {
		return deliver.Bundle{}, err
	}
	return deliver.Bundle{FS: tree, Digest: d.String()}, nil
}

func (o *Opener) read(ctx context.Context, a *meta.Artifact, d digest.Digest) (*archive.Tree, error) {
	content, err := o.content(ctx, a, d)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	verifier := d.Verifier()
	tree, err := archive.Read(io.TeeReader(content, verifier), o.options.Limits)
	if err == nil {
		_, err = io.Copy(verifier, content) // what follows the archive counts too
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if !verifier.Verified() {
		return nil, fmt.Errorf("%w: what is served for revision %s does not have the digest %s: it was replaced or cut off", deliver.ErrNoArtifact, a.Revision, d)
	}
	if err != nil {
		return nil, fmt.Errorf("failed to untar the artifact of revision %s: %w", a.Revision, err)
	}
	return tree, nil
}

func (o *Opener) content(ctx context.Context, a *meta.Artifact, d digest.Digest) (io.ReadCloser, error) {
	if o.options.Local != nil {
		content, found, err := o.options.Local(a.Path, d)
		if err != nil || found {
			return content, err
		}
	}
	address, err := o.address(a.URL)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("the artifact of revision %s has no usable URL: %w", a.Revision, err)
	}
	response, err := o.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("failed to download the artifact of revision %s from %s: %w", a.Revision, request.URL.Host, plain(err))
	}
	switch {
	case response.StatusCode == http.StatusOK:
		return response.Body, nil
	case response.StatusCode == http.StatusNotFound:
		response.Body.Close()
		return nil, fmt.Errorf("%w: %s", deliver.ErrNoArtifact, a.URL)
	}
	response.Body.Close()
	return nil, fmt.Errorf("failed to download the artifact of revision %s from %s: it answers %s", a.Revision, request.URL.Host, response.Status)
}

func (o *Opener) address(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("%q is no URL of an artifact", raw)
	}
	if o.options.Localhost != "" {
		u.Host = o.options.Localhost
	}
	return u.String(), nil
}

// plain leaves the ports of this side out of an error, so that the text is the
// same for the same cause.
func plain(err error) error {
	var op *net.OpError
	switch {
	case errors.As(err, &op):
		if i := strings.LastIndex(op.Err.Error(), ": "); i >= 0 {
			return errors.New(op.Err.Error()[i+2:])
		}
		return op.Err
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("no answer in time")
	}
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
