package deliver

import (
	"slices"

	"github.com/fluxcd/pkg/apis/meta"
)

// history holds the artifacts that were seen since the last time that
// everything was delivered.
type history []*meta.Artifact

const historySize = 32

func (h *history) add(a *meta.Artifact) {
	if a == nil || h.index(a) >= 0 {
		return
	}
	*h = append(*h, a)
	if len(*h) > historySize {
		*h = slices.Clone((*h)[1:])
	}
}

func (h history) of(revision string) *meta.Artifact {
	for _, a := range h {
		if a.Revision == revision {
			return a
		}
	}
	return nil
}

// forget leaves out what was published before an artifact.
func (h *history) forget(a *meta.Artifact) {
	if i := h.index(a); i > 0 {
		*h = slices.Clone((*h)[i:])
	}
}

// drop leaves an artifact out.
func (h *history) drop(a *meta.Artifact) {
	if i := h.index(a); i >= 0 {
		*h = slices.Delete(slices.Clone(*h), i, i+1)
	}
}

func (h *history) index(a *meta.Artifact) int {
	return slices.IndexFunc(*h, func(old *meta.Artifact) bool { return sameArtifact(old, a) })
}

func sameArtifact(a, b *meta.Artifact) bool {
	return a != nil && b != nil && a.Digest == b.Digest && a.Revision == b.Revision
}
