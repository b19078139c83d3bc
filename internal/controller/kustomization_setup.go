package controller

import (
	"context"
	"errors"
	"maps"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/sluice-dev/sluice/internal/deliver"
	"github.com/sluice-dev/sluice/internal/plan"
)

// Indexes of Kustomizations.
const (
	sourceIndex  = "spec.sourceRef"
	dependsIndex = "spec.dependsOn"
	configsIndex = "spec.configs"
)

// Setup registers the reconciler. What wakes a Kustomization: a changed spec or
// request, its source, a dependency that becomes Ready, a ConfigMap or Secret
// that it refers to, its objects in the cluster they were applied to, its clock.
func (r *Kustomizations) Setup(ctx context.Context, mgr ctrl.Manager, concurrent int) error {
	r.all.base = ctx
	r.all.width = r.Lanes
	r.all.track = func() *tracker {
		j := &journal{client: r.Client, tell: r.Teller, stream: r.Stream, noSuccess: r.NoSuccessEvents}
		return &tracker{journal: j, delivery: deliver.New(r.Engine, j)}
	}
	if err := r.index(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	b := ctrl.NewControllerManagedBy(mgr).
		Named("kustomization").
		For(&kustomizev1.Kustomization{}, builder.WithPredicates(kustomizationAsks)).
		Watches(&kustomizev1.Kustomization{}, handler.EnqueueRequestsFromMapFunc(r.dependents), builder.WithPredicates(readinessChanged)).
		WatchesMetadata(&corev1.ConfigMap{}, r.configChanged("ConfigMap")).
		WatchesMetadata(&corev1.Secret{}, r.configChanged("Secret")).
		WatchesRawSource(source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
			r.all.serve(func(req reconcile.Request, after time.Duration) { queue.AddAfter(req, after) })
			return nil
		})).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrent})
	kinds := []client.Object{&sourcev1.OCIRepository{}, &sourcev1.GitRepository{}, &sourcev1.Bucket{}}
	if r.Access.AllowExternalArtifacts {
		kinds = append(kinds, &sourcev1.ExternalArtifact{})
	}
	for _, kind := range kinds {
		b = b.Watches(kind, handler.EnqueueRequestsFromMapFunc(r.consumers), builder.WithPredicates(artifactChanged))
	}
	return b.Complete(r)
}

// Wait returns when no pass goes on any more: after the context of Setup ended.
func (r *Kustomizations) Wait() { r.all.wait() }

func (r *Kustomizations) index(ctx context.Context, indexer client.FieldIndexer) error {
	add := func(name string, keys func(*kustomizev1.Kustomization) []string) error {
		return indexer.IndexField(ctx, &kustomizev1.Kustomization{}, name, func(o client.Object) []string {
			return keys(o.(*kustomizev1.Kustomization))
		})
	}
	return errors.Join(
		add(sourceIndex, func(ks *kustomizev1.Kustomization) []string { return []string{sourceName(ks)} }),
		add(dependsIndex, func(ks *kustomizev1.Kustomization) []string {
			var keys []string
			for _, n := range dependencies(ks) {
				keys = append(keys, n.String())
			}
			return keys
		}),
		add(configsIndex, configsOf),
	)
}

// configsOf are the ConfigMaps and Secrets that a spec refers to, as
// "Kind/name"; those of kubeConfig with a star, for they count whatever their
// labels.
func configsOf(ks *kustomizev1.Kustomization) []string {
	var keys []string
	if ks.Spec.PostBuild != nil {
		for _, ref := range ks.Spec.PostBuild.SubstituteFrom {
			keys = append(keys, ref.Kind+"/"+ref.Name)
		}
	}
	if k := ks.Spec.KubeConfig; k != nil && k.SecretRef != nil {
		keys = append(keys, "*Secret/"+k.SecretRef.Name)
	}
	return keys
}

// kustomizationAsks lets through what an author did, not what we write.
var kustomizationAsks = predicate.Funcs{
	UpdateFunc: func(e event.UpdateEvent) bool {
		before, after := e.ObjectOld.GetAnnotations(), e.ObjectNew.GetAnnotations()
		return e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() ||
			before[meta.ReconcileRequestAnnotation] != after[meta.ReconcileRequestAnnotation] ||
			before[plan.AllowEmptyAnnotation] != after[plan.AllowEmptyAnnotation] ||
			!maps.Equal(e.ObjectOld.GetLabels(), e.ObjectNew.GetLabels()) || // the shard may have changed
			e.ObjectNew.GetDeletionTimestamp() != nil
	},
}

// readinessChanged lets through what dependents look at.
var readinessChanged = predicate.Funcs{
	UpdateFunc: func(e event.UpdateEvent) bool {
		before, okBefore := e.ObjectOld.(*kustomizev1.Kustomization)
		after, okAfter := e.ObjectNew.(*kustomizev1.Kustomization)
		return okBefore && okAfter && readinessOf(before) != readinessOf(after)
	},
}

type readiness struct {
	generation, observed int64
	ready                string
	applied              string
}

func readinessOf(ks *kustomizev1.Kustomization) readiness {
	s := readiness{generation: ks.Generation, observed: ks.Status.ObservedGeneration, applied: ks.Status.LastAppliedRevision}
	if c := apimeta.FindStatusCondition(ks.Status.Conditions, meta.ReadyCondition); c != nil {
		s.ready = string(c.Status) + c.Reason
	}
	return s
}

// artifactChanged lets through publications.
var artifactChanged = predicate.Funcs{
	UpdateFunc: func(e event.UpdateEvent) bool {
		before, after := artifactOf(e.ObjectOld), artifactOf(e.ObjectNew)
		if before == nil || after == nil {
			return before != after
		}
		return before.Revision != after.Revision || before.Digest != after.Digest
	},
}

// consumers are the Kustomizations of a source.
func (r *Kustomizations) consumers(ctx context.Context, source client.Object) []reconcile.Request {
	kind := kindOf(source)
	return r.indexed(ctx, sourceIndex, kind+"/"+source.GetNamespace()+"/"+source.GetName(), "")
}

func kindOf(source client.Object) string {
	switch source.(type) {
	case *sourcev1.OCIRepository:
		return sourcev1.OCIRepositoryKind
	case *sourcev1.GitRepository:
		return sourcev1.GitRepositoryKind
	case *sourcev1.Bucket:
		return sourcev1.BucketKind
	}
	return sourcev1.ExternalArtifactKind
}

// dependents are the Kustomizations that wait for one.
func (r *Kustomizations) dependents(ctx context.Context, dependency client.Object) []reconcile.Request {
	return r.indexed(ctx, dependsIndex, client.ObjectKeyFromObject(dependency).String(), "")
}

func (r *Kustomizations) indexed(ctx context.Context, index, key, namespace string) []reconcile.Request {
	var list kustomizev1.KustomizationList
	err := r.Client.List(ctx, &list, client.MatchingFields{index: key}, client.InNamespace(namespace), client.UnsafeDisableDeepCopy)
	if err != nil {
		r.Log.Error("an event wakes nobody: the list of Kustomizations failed", "index", index, "key", key, "error", err)
		return nil
	}
	requests := make([]reconcile.Request, 0, len(list.Items))
	for i := range list.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
	}
	return requests
}

// Woken is told by clusters that an object of a Kustomization changed.
func (r *Kustomizations) Woken(owner plan.Owner) {
	var req reconcile.Request
	req.Namespace, req.Name = owner.Namespace, owner.Name
	r.all.call(req, 0)
}
