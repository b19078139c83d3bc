package artifact

import (
	"encoding/json"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Media types of what `flux push artifact` writes (fluxcd/pkg/oci).
const (
	ConfigMediaType  = "application/vnd.cncf.flux.config.v1+json"
	ContentMediaType = "application/vnd.cncf.flux.content.v1.tar+gzip"
	ChartMediaType   = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
)

// Manifest is the part of an image manifest that matters to us.
type Manifest struct {
	Digest       digest.Digest // of the manifest itself
	MediaType    string
	ArtifactType string
	Config       ocispec.Descriptor
	Layers       []ocispec.Descriptor
	Annotations  map[string]string

	Children []ocispec.Descriptor // of an index; an index has no layers
}

const (
	mediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	mediaTypeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// Select picks the layer that a source consumes: the first one, or the first
// with the given media type (ocirepository_controller.go selectLayer).
func (m Manifest) Select(mediaType string) (ocispec.Descriptor, error) {
	if len(m.Layers) == 0 {
		return ocispec.Descriptor{}, fmt.Errorf("no layers found in artifact %s", m.Digest)
	}
	if mediaType == "" {
		return m.Layers[0], nil
	}
	for _, layer := range m.Layers {
		if layer.MediaType == mediaType {
			return layer, nil
		}
	}
	return ocispec.Descriptor{}, fmt.Errorf("failed to find layer with media type '%s' in artifact", mediaType)
}

// ParseManifest reads an OCI or Docker image manifest, or an index of them.
func ParseManifest(raw []byte) (Manifest, error) {
	var body struct {
		SchemaVersion int                  `json:"schemaVersion"`
		MediaType     string               `json:"mediaType"`
		ArtifactType  string               `json:"artifactType"`
		Config        ocispec.Descriptor   `json:"config"`
		Layers        []ocispec.Descriptor `json:"layers"`
		Manifests     []ocispec.Descriptor `json:"manifests"`
		Annotations   map[string]string    `json:"annotations"`
	}
	if err := json.Unmarshal(raw, &body); err != nil {
		return Manifest{}, fmt.Errorf("the manifest is no JSON: %w", err)
	}
	switch body.MediaType {
	case "", ocispec.MediaTypeImageManifest, mediaTypeDockerManifest, ocispec.MediaTypeImageIndex, mediaTypeDockerList:
	default:
		return Manifest{}, fmt.Errorf("the manifest has the media type %q; an image manifest is needed", body.MediaType)
	}
	if body.SchemaVersion != 2 {
		return Manifest{}, fmt.Errorf("the manifest has schema version %d; version 2 is needed", body.SchemaVersion)
	}
	for _, list := range [][]ocispec.Descriptor{body.Layers, body.Manifests} {
		for i, d := range list {
			if err := d.Digest.Validate(); err != nil {
				return Manifest{}, fmt.Errorf("entry %d of the manifest has no valid digest: %w", i, err)
			}
			if d.Size < 0 {
				return Manifest{}, fmt.Errorf("entry %d of the manifest has the size %d", i, d.Size)
			}
		}
	}
	return Manifest{
		MediaType: body.MediaType, ArtifactType: body.ArtifactType, Config: body.Config,
		Layers: body.Layers, Annotations: body.Annotations, Children: body.Manifests,
	}, nil
}
