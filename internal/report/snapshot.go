package report

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Scope is the part of a cluster that is looked at.
type Scope struct {
	Namespace string   // empty is all
	Name      string   // empty is all
	Kinds     []string // empty is all
	// Narrow is looked at instead if not all namespaces may be: a Namespace.
	Narrow string
}

// Snapshot is what a cluster holds at one moment. Its objects are shared: they
// are never changed.
type Snapshot struct {
	Kustomizations []*kustomizev1.Kustomization
	Sources        []client.Object
	Namespace      string // what it is limited to; empty is nothing
	Lost           error  // why it may be old; nil while the cluster answers
}

// kinds that are looked at. Those that a cluster does not serve are left out,
// except Kustomizations.
var kinds = []struct {
	kind string
	list func() client.ObjectList
	one  func() client.Object
}{
	{kustomizev1.KustomizationKind, func() client.ObjectList { return &kustomizev1.KustomizationList{} }, func() client.Object { return &kustomizev1.Kustomization{} }},
	{sourcev1.OCIRepositoryKind, func() client.ObjectList { return &sourcev1.OCIRepositoryList{} }, func() client.Object { return &sourcev1.OCIRepository{} }},
	{sourcev1.GitRepositoryKind, func() client.ObjectList { return &sourcev1.GitRepositoryList{} }, func() client.Object { return &sourcev1.GitRepository{} }},
	{sourcev1.BucketKind, func() client.ObjectList { return &sourcev1.BucketList{} }, func() client.Object { return &sourcev1.Bucket{} }},
	{sourcev1.ExternalArtifactKind, func() client.ObjectList { return &sourcev1.ExternalArtifactList{} }, func() client.Object { return &sourcev1.ExternalArtifact{} }},
}

// SourceKinds are the kinds that Kustomizations are built from.
func SourceKinds() []string {
	var names []string
	for _, k := range kinds[1:] {
		names = append(names, k.kind)
	}
	return names
}

// New makes an empty object of a kind; nil if it is none of ours.
func New(kind string) client.Object {
	for _, k := range kinds {
		if k.kind == kind {
			return k.one()
		}
	}
	return nil
}

// KindOf names the kind of an object, which typed objects do not say.
func KindOf(o client.Object) string {
	switch o.(type) {
	case *kustomizev1.Kustomization:
		return kustomizev1.KustomizationKind
	case *sourcev1.OCIRepository:
		return sourcev1.OCIRepositoryKind
	case *sourcev1.GitRepository:
		return sourcev1.GitRepositoryKind
	case *sourcev1.Bucket:
		return sourcev1.BucketKind
	case *sourcev1.ExternalArtifact:
		return sourcev1.ExternalArtifactKind
	}
	return ""
}

// Read takes a snapshot by one LIST of each kind.
func Read(ctx context.Context, c client.WithWatch, scope Scope) (Snapshot, error) {
	w, _, err := begin(ctx, c, scope)
	if err != nil {
		return Snapshot{}, err
	}
	return w.snapshot(), nil
}

// begin lists everything once, and makes the feeds that go on from there.
func begin(ctx context.Context, c client.WithWatch, scope Scope) (*world, []*feed, error) {
	w := newWorld(scope)
	var feeds []*feed
	for _, k := range kinds {
		if len(scope.Kinds) > 0 && !slices.Contains(scope.Kinds, k.kind) {
			continue
		}
		f := &feed{client: c, kind: k.kind, list: k.list, scope: scope, world: w}
		err := f.relist(ctx)
		switch {
		case apierrors.IsForbidden(err) && scope.Namespace == "" && scope.Narrow != "":
			scope.Namespace, scope.Narrow = scope.Narrow, ""
			return begin(ctx, c, scope)
		case unserved(err) && k.kind != kustomizev1.KustomizationKind:
			continue
		case err != nil:
			return nil, nil, fmt.Errorf("listing %s objects: %w", k.kind, err)
		}
		feeds = append(feeds, f)
	}
	return w, feeds, nil
}

func unserved(err error) bool {
	return apimeta.IsNoMatchError(err) || apierrors.IsNotFound(err) || runtime.IsNotRegisteredError(err)
}

// source finds a source; nil if it is not there.
func (s Snapshot) source(ref Ref) client.Object {
	i := slices.IndexFunc(s.Sources, func(o client.Object) bool {
		return o.GetName() == ref.Name && o.GetNamespace() == ref.Namespace && KindOf(o) == ref.Kind
	})
	if i < 0 {
		return nil
	}
	return s.Sources[i]
}

// Find gives an object by its name; nil if it is not there.
func (s Snapshot) Find(kind string, name types.NamespacedName) client.Object {
	if kind != kustomizev1.KustomizationKind {
		return s.source(Ref{kind, name})
	}
	for _, ks := range s.Kustomizations {
		if ks.Name == name.Name && ks.Namespace == name.Namespace {
			return ks
		}
	}
	return nil
}

func compareObjects(a, b client.Object) int {
	return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(KindOf(a), KindOf(b)), cmp.Compare(a.GetName(), b.GetName()))
}
