package controller

import (
	"cmp"
	"context"
	"fmt"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/deliver"
	"github.com/sluice-dev/sluice/internal/graph"
)

// occasion gathers what a pass has to know, from caches.
func (r *Kustomizations) occasion(ctx context.Context, obj *kustomizev1.Kustomization) (deliver.Occasion, error) {
	o := deliver.Occasion{Kustomization: obj}
	var err error
	if o.Source, err = r.source(ctx, obj); err != nil {
		return o, err
	}
	if len(obj.Spec.DependsOn) > 0 {
		o.Cycle, err = r.cycle(ctx, obj)
	}
	return o, err
}

// newSource makes an object of a kind that spec.sourceRef may name.
func newSource(kind string) client.Object {
	switch kind {
	case sourcev1.OCIRepositoryKind:
		return &sourcev1.OCIRepository{}
	case sourcev1.GitRepositoryKind:
		return &sourcev1.GitRepository{}
	case sourcev1.BucketKind:
		return &sourcev1.Bucket{}
	case sourcev1.ExternalArtifactKind:
		return &sourcev1.ExternalArtifact{}
	}
	return nil
}

// sourceName is "Kind/namespace/name" of what a Kustomization is built from.
func sourceName(ks *kustomizev1.Kustomization) string {
	ref := ks.Spec.SourceRef
	namespace := ref.Namespace
	if namespace == "" {
		namespace = ks.Namespace
	}
	return ref.Kind + "/" + namespace + "/" + ref.Name
}

func (r *Kustomizations) source(ctx context.Context, ks *kustomizev1.Kustomization) (deliver.Source, error) {
	ref := ks.Spec.SourceRef
	name := types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}
	if name.Namespace == "" {
		name.Namespace = ks.Namespace
	}
	if r.Access.NoCrossNamespace && name.Namespace != ks.Namespace {
		return deliver.Source{Denied: fmt.Sprintf("can't access '%s/%s', cross-namespace references have been blocked", ref.Kind, name)}, nil
	}
	if ref.Kind == sourcev1.ExternalArtifactKind && !r.Access.AllowExternalArtifacts {
		return deliver.Source{Denied: fmt.Sprintf("can't access '%s/%s', ExternalArtifact feature gate is disabled", ref.Kind, name)}, nil
	}
	obj := newSource(ref.Kind)
	if obj == nil {
		return deliver.Source{Denied: fmt.Sprintf("source `%s` kind '%s' not supported", ref.Name, ref.Kind)}, nil
	}
	err := r.Client.Get(ctx, name, obj)
	if apierrors.IsNotFound(err) {
		return deliver.Source{Missing: fmt.Sprintf("Source '%s/%s' not found; this starts as soon as it is there", ref.Kind, name)}, nil
	}
	if err != nil {
		return deliver.Source{}, fmt.Errorf("unable to get source '%s': %w", name, err)
	}
	a := artifactOf(obj)
	if a == nil {
		return deliver.Source{Missing: fmt.Sprintf("Source artifact not found: '%s/%s' has published nothing yet; this starts as soon as it has", ref.Kind, name)}, nil
	}
	return deliver.Source{Artifact: a.DeepCopy()}, nil
}

func artifactOf(obj client.Object) *meta.Artifact {
	if s, ok := obj.(sourcev1.Source); ok {
		return s.GetArtifact()
	}
	return nil
}

// cycle finds the path of dependencies that leads back to a Kustomization.
func (r *Kustomizations) cycle(ctx context.Context, ks *kustomizev1.Kustomization) ([]types.NamespacedName, error) {
	var list kustomizev1.KustomizationList
	if err := r.Client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	edges := map[types.NamespacedName][]types.NamespacedName{}
	for i := range list.Items {
		other := &list.Items[i]
		edges[client.ObjectKeyFromObject(other)] = dependencies(other)
	}
	return graph.Of(compareNames, edges).Cycle(client.ObjectKeyFromObject(ks)), nil
}

func compareNames(a, b types.NamespacedName) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

func dependencies(ks *kustomizev1.Kustomization) []types.NamespacedName {
	var names []types.NamespacedName
	for _, d := range ks.Spec.DependsOn {
		n := types.NamespacedName{Namespace: d.Namespace, Name: d.Name}
		if n.Namespace == "" {
			n.Namespace = ks.Namespace
		}
		names = append(names, n)
	}
	return names
}
