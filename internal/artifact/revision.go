package artifact

import (
	"strings"

	"github.com/opencontainers/go-digest"
)

// Revision is the text that users see for pinned content: "tag@sha256:…", or
// the bare digest where a digest was asked for. Flux's status.artifact.revision
// (source-controller, ocirepository_controller.go getRevision).
type Revision string

// NewRevision joins a tag, which may be empty, and a digest.
func NewRevision(tag string, d digest.Digest) Revision {
	if tag == "" {
		return Revision(d)
	}
	return Revision(tag + "@" + d.String())
}

// Tag is the part before the '@', empty for a bare digest.
func (r Revision) Tag() string {
	tag, _, found := strings.Cut(string(r), "@")
	if !found {
		return ""
	}
	return tag
}

// Digest is the part after the last '@'.
func (r Revision) Digest() digest.Digest {
	return digest.Digest(r[strings.LastIndexByte(string(r), '@')+1:])
}
