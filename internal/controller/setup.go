package controller

import (
	"context"
	"maps"
	"time"

	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
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

	"github.com/sluice-dev/sluice/internal/artifact"
)

// secretIndex finds the sources that name a Secret.
const secretIndex = "spec.secrets"

// Setup registers the reconciler. What wakes an object: a changed spec or
// request, a Secret that it names, a hint, its clock, and the end of its run.
func (r *OCIRepositories) Setup(ctx context.Context, mgr ctrl.Manager, concurrent int) error {
	r.sources.base = ctx
	err := mgr.GetFieldIndexer().IndexField(ctx, &sourcev1.OCIRepository{}, secretIndex, func(o client.Object) []string {
		return secretsOf(o.(*sourcev1.OCIRepository))
	})
	if err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("ocirepository").
		For(&sourcev1.OCIRepository{}, builder.WithPredicates(asksForSomething)).
		WatchesMetadata(&corev1.Secret{}, handler.Funcs{
			CreateFunc: func(ctx context.Context, e event.CreateEvent, _ workqueue.TypedRateLimitingInterface[reconcile.Request]) {
				r.secretChanged(ctx, e.Object, e.IsInInitialList)
			},
			UpdateFunc: func(ctx context.Context, e event.UpdateEvent, _ workqueue.TypedRateLimitingInterface[reconcile.Request]) {
				r.secretChanged(ctx, e.ObjectNew, e.ObjectNew.GetResourceVersion() == e.ObjectOld.GetResourceVersion())
			},
			DeleteFunc: func(ctx context.Context, e event.DeleteEvent, _ workqueue.TypedRateLimitingInterface[reconcile.Request]) {
				r.secretChanged(ctx, e.Object, false)
			},
		}).
		WatchesRawSource(source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
			r.sources.serve(func(req reconcile.Request, after time.Duration) { queue.AddAfter(req, after) })
			return nil
		})).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrent}).
		Complete(r)
}

// asksForSomething lets through what the object's author did, not what we
// write into its status.
var asksForSomething = predicate.Funcs{
	UpdateFunc: func(e event.UpdateEvent) bool {
		before, okBefore := e.ObjectOld.(*sourcev1.OCIRepository)
		after, okAfter := e.ObjectNew.(*sourcev1.OCIRepository)
		if !okBefore || !okAfter {
			return true
		}
		return inputOf(before) != inputOf(after) || !maps.Equal(before.Labels, after.Labels) || after.DeletionTimestamp != nil
	},
}

func secretsOf(obj *sourcev1.OCIRepository) []string {
	var names []string
	if ref := obj.Spec.SecretRef; ref != nil {
		names = append(names, ref.Name)
	}
	if ref := obj.Spec.CertSecretRef; ref != nil {
		names = append(names, ref.Name)
	}
	return names
}

// secretChanged nudges the sources that name a Secret: a rotated credential
// counts at once, and one that was missing heals its sources by appearing.
func (r *OCIRepositories) secretChanged(ctx context.Context, secret client.Object, nothingNew bool) {
	if nothingNew {
		return
	}
	var list sourcev1.OCIRepositoryList
	err := r.Client.List(ctx, &list, client.InNamespace(secret.GetNamespace()), client.MatchingFields{secretIndex: secret.GetName()})
	if err != nil {
		r.Log.Error("a changed Secret wakes nobody: the list of sources failed", "secret", secret.GetNamespace()+"/"+secret.GetName(), "error", err)
		return
	}
	now := time.Now()
	for i := range list.Items {
		if obj := &list.Items[i]; r.Shard.Matches(labels.Set(obj.Labels)) {
			r.sources.nudge(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(obj)}, now)
		}
	}
}

// Hint wakes the sources that follow matching repositories and returns how
// many those are.
func (r *OCIRepositories) Hint(ctx context.Context, matches func(artifact.Repository) bool) (int, error) {
	var list sourcev1.OCIRepositoryList
	if err := r.Client.List(ctx, &list); err != nil {
		return 0, err
	}
	woken, now := 0, time.Now()
	for i := range list.Items {
		obj := &list.Items[i]
		repo, err := repositoryOf(obj)
		if err != nil || obj.Spec.Suspend || !matches(repo) || !r.Shard.Matches(labels.Set(obj.Labels)) {
			continue
		}
		r.sources.nudge(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(obj)}, now)
		woken++
	}
	return woken, nil
}
