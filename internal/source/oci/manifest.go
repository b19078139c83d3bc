package oci

import (
	"context"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/sluice-dev/sluice/internal/artifact"
)

// maxManifestBytes is the limit that the specification asks registries to accept.
const maxManifestBytes = 4 << 20

func (c *Client) readManifest(ctx context.Context, dgst digest.Digest) (artifact.Manifest, error) {
	m, err := c.fetchManifest(ctx, dgst)
	if err != nil || len(m.Children) == 0 {
		return m, err
	}
	// An index of platforms: Flux's library takes linux/amd64.
	for _, child := range m.Children {
		if p := child.Platform; p == nil || p.OS == "linux" && p.Architecture == "amd64" {
			found, err := c.fetchManifest(ctx, child.Digest)
			found.Digest = dgst
			return found, err
		}
	}
	return artifact.Manifest{}, fmt.Errorf("the artifact is an index of %d manifests and none is for linux/amd64", len(m.Children))
}

func (c *Client) fetchManifest(ctx context.Context, dgst digest.Digest) (artifact.Manifest, error) {
	repo, err := c.remote(ctx)
	if err != nil {
		return artifact.Manifest{}, err
	}
	_, body, err := repo.Manifests().FetchReference(ctx, dgst.String())
	if err != nil {
		return artifact.Manifest{}, err
	}
	defer body.Close()
	raw, err := io.ReadAll(io.LimitReader(body, maxManifestBytes+1))
	switch {
	case err != nil:
		return artifact.Manifest{}, err
	case len(raw) > maxManifestBytes:
		return artifact.Manifest{}, fmt.Errorf("the manifest is larger than %d bytes", maxManifestBytes)
	case dgst.Algorithm().FromBytes(raw) != dgst:
		return artifact.Manifest{}, fmt.Errorf("the registry answered another manifest than %s", dgst)
	}
	m, err := artifact.ParseManifest(raw)
	m.Digest = dgst
	return m, err
}
