package deliver

import (
	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/internal/plan"
)

// Occasion is all that a pass has to be told; it is read from caches.
type Occasion struct {
	Kustomization *kustomizev1.Kustomization
	Source        Source
	// Nudges grows when a ConfigMap or Secret changed that the spec refers to.
	Nudges int
	// Cycle is the path of dependencies that leads back to the Kustomization.
	Cycle []types.NamespacedName
}

// Source is the state of what spec.sourceRef names.
type Source struct {
	// Missing says that there is no such source, or no artifact yet.
	Missing string
	// Denied says why it may not be used.
	Denied string
	// Artifact is what it published last.
	Artifact *meta.Artifact
}

// originKey is the annotation of an OCI manifest that names the commit.
const originKey = "org.opencontainers.image.revision"

func originOf(a *meta.Artifact) string {
	if a == nil {
		return ""
	}
	return a.Metadata[originKey]
}

// wish is what makes a new roll-out necessary when it changes.
type wish struct {
	generation int64
	requested  string
	revision   string
	digest     string
	nudges     int
	allowed    string // the annotation that lets an empty build prune
	missing    string
}

func (o Occasion) wish() wish {
	requested, _ := meta.ReconcileAnnotationValue(o.Kustomization.GetAnnotations())
	w := wish{
		generation: o.Kustomization.Generation, requested: requested, nudges: o.Nudges,
		allowed: o.Kustomization.Annotations[plan.AllowEmptyAnnotation], missing: o.Source.Missing + o.Source.Denied,
	}
	if a := o.Source.Artifact; a != nil {
		w.revision, w.digest = a.Revision, a.Digest
	}
	return w
}
