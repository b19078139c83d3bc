package publish

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sluice-dev/sluice/internal/archive"
	"github.com/sluice-dev/sluice/internal/artifact"
)

// About is what is said of published content.
type About struct {
	Source   string // free text; usually the URL of the Git repository
	Revision string // free text; in Flux's form branch@sha1:commit
	// Created is part of the digest: the time of the commit, not of the push.
	Created     time.Time
	Annotations map[string]string // more; they win
}

// Package is what a push uploads: blobs in the layout of
// fluxcd/pkg/oci/push.go. Equal packages have equal digests, on every machine
// and at every time.
type Package struct {
	Layer, Config, Manifest Blob
}

// Blob is bytes with their description.
type Blob struct {
	ocispec.Descriptor
	Content []byte
}

// Digest is the digest under which the package can be pulled.
func (p Package) Digest() digest.Digest { return p.Manifest.Digest }

// Pack makes the package of a tree.
func Pack(tree *archive.Tree, about About) (Package, error) {
	var layer bytes.Buffer
	if err := archive.Write(&layer, tree, archive.KeepModes, nil); err != nil {
		return Package{}, err
	}
	diffID, err := diffID(layer.Bytes())
	if err != nil {
		return Package{}, err
	}
	created := about.Created.UTC().Truncate(time.Second)
	p := Package{Layer: blob(artifact.ContentMediaType, layer.Bytes())}
	config, err := json.Marshal(ocispec.Image{
		Created: &created,
		RootFS:  ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{diffID}},
		History: []ocispec.History{{Created: &created}},
	})
	if err != nil {
		return Package{}, fmt.Errorf("encoding the config: %w", err)
	}
	p.Config = blob(artifact.ConfigMediaType, config)
	annotations := map[string]string{
		ocispec.AnnotationCreated:  created.Format(time.RFC3339),
		ocispec.AnnotationSource:   about.Source,
		ocispec.AnnotationRevision: about.Revision,
	}
	maps.Copy(annotations, about.Annotations)
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned:   specs.Versioned{SchemaVersion: 2},
		MediaType:   ocispec.MediaTypeImageManifest,
		Config:      p.Config.Descriptor,
		Layers:      []ocispec.Descriptor{p.Layer.Descriptor},
		Annotations: annotations,
	})
	if err != nil {
		return Package{}, fmt.Errorf("encoding the manifest: %w", err)
	}
	p.Manifest = blob(ocispec.MediaTypeImageManifest, manifest)
	return p, nil
}

func blob(mediaType string, content []byte) Blob {
	return Blob{
		Descriptor: ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))},
		Content:    content,
	}
}

// diffID is the digest of the tar inside the gzip.
func diffID(layer []byte) (digest.Digest, error) {
	gz, err := gzip.NewReader(bytes.NewReader(layer))
	if err != nil {
		return "", fmt.Errorf("reading back the layer: %w", err)
	}
	hash := digest.SHA256.Digester()
	if _, err := io.Copy(hash.Hash(), gz); err != nil {
		return "", fmt.Errorf("reading back the layer: %w", err)
	}
	return hash.Digest(), nil
}
