package report

import (
	"cmp"
	"slices"
	"strings"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Row is an object of Flux's API as lists show it.
type Row struct {
	Kind      string    `json:"kind"`
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	State     State     `json:"state"`
	Since     time.Time `json:"since,omitzero"`
	Note      string    `json:"note,omitempty"`     // why, in one line
	Version   string    `json:"version,omitempty"`  // the readable part of the revision
	Revision  string    `json:"revision,omitempty"` // of a source what it publishes, of a Kustomization what is applied
	// Attempted is the revision that was tried last, if it is another.
	Attempted string `json:"attempted,omitempty"`
	// Pending is what the source has and this has not yet.
	Pending string `json:"pending,omitempty"`
	Reason  string `json:"reason,omitempty"`  // of the Ready condition
	Message string `json:"message,omitempty"` // of the Ready condition, whole
	Source  string `json:"source,omitempty"`  // Kind/namespace/name, or the URL of a source
	Path    string `json:"path,omitempty"`
	Objects int    `json:"objects,omitempty"` // in the inventory
	// SuspendReason is what was given to suspend --reason.
	SuspendReason string `json:"suspendReason,omitempty"`
}

// Key is "namespace/name".
func (r Row) Key() string { return r.Namespace + "/" + r.Name }

// ID is "Kind/namespace/name".
func (r Row) ID() string { return r.Kind + "/" + r.Namespace + "/" + r.Name }

// Rows lists the sources, and then the Kustomizations, of a snapshot.
func Rows(s Snapshot) (sources, kustomizations []Row) {
	for _, o := range s.Sources {
		sources = append(sources, sourceRow(o))
	}
	states := map[string]State{}
	for _, ks := range s.Kustomizations {
		r := kustomizationRow(s, ks)
		states[r.Key()] = r.State
		kustomizations = append(kustomizations, r)
	}
	for i := range kustomizations {
		explain(s, &kustomizations[i], states)
	}
	sortRows(sources)
	sortRows(kustomizations)
	return sources, kustomizations
}

func sortRows(rows []Row) {
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
}

// RowOf is the row of an object alone: what its source has is not known.
func RowOf(kind string, o client.Object) Row {
	if ks, ok := o.(*kustomizev1.Kustomization); ok {
		return kustomizationRow(Snapshot{}, ks)
	}
	return sourceRow(o)
}

func rowOf(kind string, o client.Object) Row {
	v := judge(o)
	r := Row{
		Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName(),
		State: v.state, Since: v.since, Note: v.note, SuspendReason: o.GetAnnotations()[SuspendReason],
	}
	if ready := condition(o, meta.ReadyCondition); ready != nil {
		r.Reason, r.Message = ready.Reason, ready.Message
	}
	return r
}

func sourceRow(o client.Object) Row {
	r := rowOf(KindOf(o), o)
	if a := artifactOf(o); a != nil {
		r.Revision, r.Version = a.Revision, Version(a.Revision)
	}
	switch o := o.(type) {
	case *sourcev1.OCIRepository:
		r.Source = o.Spec.URL
	case *sourcev1.GitRepository:
		r.Source = o.Spec.URL
	case *sourcev1.Bucket:
		r.Source = o.Spec.Endpoint + "/" + o.Spec.BucketName
	}
	return r
}

func kustomizationRow(s Snapshot, ks *kustomizev1.Kustomization) Row {
	r := rowOf(kustomizev1.KustomizationKind, ks)
	source := SourceOf(ks)
	r.Source, r.Path = source.String(), ks.Spec.Path
	r.Revision = ks.Status.LastAppliedRevision
	r.Version = Version(r.Revision)
	if attempted := ks.Status.LastAttemptedRevision; attempted != r.Revision {
		r.Attempted = attempted
	}
	if inv := ks.Status.Inventory; inv != nil {
		r.Objects = len(inv.Entries)
	}
	if a := artifactOf(s.source(source)); a != nil && a.Revision != r.Revision {
		r.Pending = a.Revision
	}
	return r
}

// Ref names a source.
type Ref struct {
	Kind string
	types.NamespacedName
}

func (r Ref) String() string { return r.Kind + "/" + r.NamespacedName.String() }

// SourceOf is what a Kustomization is built from.
func SourceOf(ks *kustomizev1.Kustomization) Ref {
	ref := ks.Spec.SourceRef
	return Ref{ref.Kind, types.NamespacedName{Namespace: cmp.Or(ref.Namespace, ks.Namespace), Name: ref.Name}}
}

func artifactOf(o client.Object) *meta.Artifact {
	if s, ok := o.(sourcev1.Source); ok {
		return s.GetArtifact()
	}
	return nil
}

// Version is the part of a revision that people know: the tag, or the branch
// with a short commit, or a short digest.
func Version(revision string) string {
	name, digest, found := strings.Cut(revision, "@")
	if !found {
		return short(revision)
	}
	if strings.HasPrefix(digest, "sha1:") {
		return name + "@" + short(digest)
	}
	return name
}

func short(digest string) string {
	algorithm, hex, found := strings.Cut(digest, ":")
	if !found || len(hex) <= 12 {
		return digest
	}
	if algorithm == "sha1" {
		return hex[:8]
	}
	return algorithm + ":" + hex[:12]
}

// Move is the version now and, if another is on its way, that one.
func (r Row) Move() string {
	next := cmp.Or(Version(r.Pending), Version(r.Attempted))
	switch {
	case next == "" || next == r.Version && r.State == Ready:
		return r.Version
	case r.Version == "":
		return "→ " + next
	case next == r.Version:
		return r.Version + " (new content)"
	}
	return r.Version + " → " + next
}
