package oci

import (
	"bytes"
	"context"
	"io"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/sluice-dev/sluice/internal/publish"
)

// Push uploads a package once and points every tag to it. What the registry
// has already is not sent again. A tag is only moved after everything it
// points to is there, so a push that breaks off leaves no tag behind.
func (c *Client) Push(ctx context.Context, p publish.Package, tags []string) (digest.Digest, error) {
	repo, err := c.remote(ctx)
	if err != nil {
		return "", c.fail("connecting for a push", err)
	}
	if err := upload(ctx, repo, p.Layer); err != nil {
		return "", c.fail("uploading the content", err)
	}
	if err := upload(ctx, repo, p.Config); err != nil {
		return "", c.fail("uploading the config", err)
	}
	for _, tag := range tags {
		if err := repo.Manifests().PushReference(ctx, p.Manifest.Descriptor, bytes.NewReader(p.Manifest.Content), tag); err != nil {
			return "", c.fail("writing tag "+tag, err)
		}
	}
	return p.Digest(), nil
}

func upload(ctx context.Context, repo *remote.Repository, b publish.Blob) error {
	// Whoever may push may not always read; then the upload itself tells.
	if there, err := repo.Blobs().Exists(ctx, b.Descriptor); err == nil && there {
		return nil
	}
	return repo.Blobs().Push(ctx, b.Descriptor, bytes.NewReader(b.Content))
}

// Tag points more tags to what a reference names.
func (c *Client) Tag(ctx context.Context, reference string, tags []string) (digest.Digest, error) {
	repo, err := c.remote(ctx)
	if err != nil {
		return "", c.fail("connecting to tag", err)
	}
	desc, body, err := repo.Manifests().FetchReference(ctx, reference)
	if err != nil {
		return "", c.fail("reading manifest of "+reference, err)
	}
	defer body.Close()
	manifest, err := io.ReadAll(io.LimitReader(body, maxManifestBytes))
	if err != nil {
		return "", c.fail("reading manifest of "+reference, err)
	}
	for _, tag := range tags {
		if err := repo.Manifests().PushReference(ctx, desc, bytes.NewReader(manifest), tag); err != nil {
			return "", c.fail("writing tag "+tag, err)
		}
	}
	return desc.Digest, nil
}
