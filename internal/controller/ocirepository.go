package controller

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	"github.com/opencontainers/go-digest"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sluice-dev/sluice/internal/artifact"
	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/follow"
	"github.com/sluice-dev/sluice/internal/status"
	"github.com/sluice-dev/sluice/internal/version"
)

// AllowDowngradeAnnotation on an OCIRepository with the value "enabled" lets
// its source take lower versions whenever they become the best: Flux's
// behaviour.
const AllowDowngradeAnnotation = "sluice.dev/allow-downgrade"

// Shelf is the store as the controller needs it.
type Shelf interface {
	follow.Shelf
	// Retire removes older artifacts of a source.
	Retire(source follow.Source, current string, now time.Time) (int, error)
	// Remove removes all artifacts of a source.
	Remove(source follow.Source) error
}

// Teller takes notices to wherever people and other controllers read them. It
// never blocks.
type Teller interface {
	Tell(event.Notice)
}

// Metrics counts runs per object.
type Metrics interface {
	// Observe records how long a run took.
	Observe(object event.Object, took time.Duration)
	// Forget drops the series of an object that is gone.
	Forget(object event.Object)
}

// Timing holds the flags that space runs.
type Timing struct {
	Spread float64 // share of the interval that jitter may move
	Retry  follow.Backoff
	// AllowDowngrade is Flux's behaviour for every source.
	AllowDowngrade bool
}

// OCIRepositories reconciles OCIRepository objects.
type OCIRepositories struct {
	Client client.Client // reads from the cache
	Live   client.Reader // reads Secrets from the API server, so that none is held
	// Shard selects the objects to reconcile; all are watched.
	Shard    labels.Selector
	Registry follow.Repositories
	Shelf    Shelf
	Follower *follow.Follower
	Teller   Teller
	Timing   Timing
	Metrics  Metrics
	Log      *slog.Logger

	sources sources
}

// Reconcile is one pass over one object. It never waits for a registry.
func (r *OCIRepositories) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	obj := &sourcev1.OCIRepository{}
	err := r.Client.Get(ctx, req.NamespacedName, obj)
	if apierrors.IsNotFound(err) || err == nil && !r.Shard.Matches(labels.Set(obj.Labels)) {
		r.sources.drop(req)
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	s := r.sources.of(req)
	obj = s.freshest(obj)
	switch {
	case !obj.DeletionTimestamp.IsZero():
		return r.finalize(ctx, s, obj)
	case !controllerutil.ContainsFinalizer(obj, sourcev1.SourceFinalizer):
		if obj, err = r.addFinalizer(ctx, s, obj); err != nil {
			return again(err)
		}
	}
	if obj.Spec.Suspend {
		s.rest()
		return reconcile.Result{}, nil
	}
	events, state := s.progress(obj)
	if state != runDone && s.due(obj, time.Now()) {
		r.start(s, obj)
		return reconcile.Result{}, nil
	}
	if len(events) > 0 {
		return r.report(ctx, s, obj, events)
	}
	return s.untilDue(time.Now()), nil
}

// report folds what a run learned so far into the status and tells the news.
func (r *OCIRepositories) report(ctx context.Context, s *tracked, obj *sourcev1.OCIRepository, events []event.Event) (reconcile.Result, error) {
	next, notices := status.FoldOCI(obj.Status, about(obj), events)
	outcome, ended := status.Outcome(events)
	changed := obj.DeepCopy()
	changed.Status = next
	if err := r.write(ctx, s, obj, changed); err != nil {
		return again(err)
	}
	if !ended {
		return reconcile.Result{}, nil // what there is to tell is told once, at the end
	}
	for _, n := range notices {
		r.Teller.Tell(n)
	}
	if outcome.Failed == nil && next.Artifact != nil {
		if _, err := r.Shelf.Retire(sourceOf(obj), next.Artifact.Path, outcome.At); err != nil {
			r.Log.Warn("old artifacts stay on disk; the next run tries again", "object", about(obj).Object.String(), "error", err)
		}
	}
	at, scheduled := s.finish(outcome, obj.Spec.Interval.Duration, r.Timing)
	r.Metrics.Observe(about(obj).Object, s.took())
	if !scheduled {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{RequeueAfter: max(time.Until(at), time.Millisecond)}, nil
}

// write patches the status if it differs.
func (r *OCIRepositories) write(ctx context.Context, s *tracked, before, after *sourcev1.OCIRepository) error {
	if equalStatus(before.Status, after.Status) {
		return nil
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	base := before.ResourceVersion
	if err := r.Client.Status().Patch(ctx, after, patch, client.FieldOwner(fieldOwner)); err != nil {
		return fmt.Errorf("writing the status of OCIRepository %s/%s: %w", before.Namespace, before.Name, err)
	}
	s.wrote(base, after)
	return nil
}

// fieldOwner is what source-controller calls itself in managedFields.
const fieldOwner = "source-controller"

func (r *OCIRepositories) addFinalizer(ctx context.Context, s *tracked, obj *sourcev1.OCIRepository) (*sourcev1.OCIRepository, error) {
	after := obj.DeepCopy()
	controllerutil.AddFinalizer(after, sourcev1.SourceFinalizer)
	if err := r.Client.Patch(ctx, after, client.MergeFromWithOptions(obj, client.MergeFromWithOptimisticLock{}), client.FieldOwner(fieldOwner)); err != nil {
		return nil, fmt.Errorf("adding the finalizer to OCIRepository %s/%s: %w", obj.Namespace, obj.Name, err)
	}
	s.wrote(obj.ResourceVersion, after)
	return after, nil
}

func (r *OCIRepositories) finalize(ctx context.Context, s *tracked, obj *sourcev1.OCIRepository) (reconcile.Result, error) {
	s.rest()
	if !controllerutil.ContainsFinalizer(obj, sourcev1.SourceFinalizer) {
		return reconcile.Result{}, nil
	}
	if !s.quiet() {
		return reconcile.Result{RequeueAfter: 50 * time.Millisecond}, nil
	}
	if err := r.Shelf.Remove(sourceOf(obj)); err != nil {
		return reconcile.Result{}, err
	}
	r.Metrics.Forget(about(obj).Object)
	after := obj.DeepCopy()
	controllerutil.RemoveFinalizer(after, sourcev1.SourceFinalizer)
	err := r.Client.Patch(ctx, after, client.MergeFromWithOptions(obj, client.MergeFromWithOptimisticLock{}), client.FieldOwner(fieldOwner))
	return again(client.IgnoreNotFound(err))
}

// start begins a run beside the workers.
func (r *OCIRepositories) start(s *tracked, obj *sourcev1.OCIRepository) {
	s.begin(obj, func(ctx context.Context, o occasion) follow.Moment {
		want, access, failed := r.accept(ctx, obj)
		if failed != nil {
			o.sink(event.Event{Failed: failed})
			return follow.Moment{At: time.Now()}
		}
		if unused := policyOf(obj).Unused(); len(unused) > 0 && o.first && obj.Generation != obj.Status.ObservedGeneration {
			o.sink(event.Event{Overruled: &event.Overruled{Fields: unused, By: want.Rule.String()}})
		}
		repo, err := r.Registry.Open(access)
		if err != nil {
			o.sink(event.Event{Failed: loginFailed(err)})
			return follow.Moment{At: time.Now()}
		}
		want.Ask = o.ask
		have := haveOf(obj)
		have.MayGoBack = o.mayGoBack || r.Timing.AllowDowngrade || obj.Annotations[AllowDowngradeAnnotation] == "enabled"
		return r.Follower.Once(ctx, want, have, repo, r.Shelf, o.sink)
	})
}

func about(obj *sourcev1.OCIRepository) status.Source {
	requested, _ := meta.ReconcileAnnotationValue(obj.GetAnnotations())
	return status.Source{
		Object: event.Object{
			APIVersion: sourcev1.GroupVersion.String(), Kind: sourcev1.OCIRepositoryKind,
			Namespace: obj.Namespace, Name: obj.Name, UID: string(obj.UID),
		},
		Generation: obj.Generation, RequestedAt: requested, URL: obj.Spec.URL,
		Ignore: obj.Spec.Ignore, LayerSelector: obj.Spec.LayerSelector,
	}
}

func sourceOf(obj *sourcev1.OCIRepository) follow.Source {
	return follow.Source{Kind: sourcev1.OCIRepositoryKind, Namespace: obj.Namespace, Name: obj.Name}
}

func haveOf(obj *sourcev1.OCIRepository) follow.Have {
	a := obj.Status.Artifact
	if a == nil {
		return follow.Have{}
	}
	return follow.Have{
		Revision: artifact.Revision(a.Revision), Path: a.Path, Digest: digest.Digest(a.Digest),
		Created:  a.Metadata["org.opencontainers.image.created"],
		Unproven: obj.Generation != obj.Status.ObservedGeneration,
		Outdated: !equalPointers(obj.Spec.Ignore, obj.Status.ObservedIgnore) || !equalPointers(obj.Spec.LayerSelector, obj.Status.ObservedLayerSelector),
	}
}

func policyOf(obj *sourcev1.OCIRepository) version.Policy {
	p := version.Policy{Charts: obj.GetLayerMediaType() == artifact.ChartMediaType}
	if ref := obj.Spec.Reference; ref != nil {
		p.Digest, p.SemVer, p.SemverFilter, p.Tag = ref.Digest, ref.SemVer, ref.SemverFilter, ref.Tag
	}
	return p
}

func equalPointers[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// again is how a pass ends whose write failed. A conflict is no failure: the
// object is newer than our copy, and the next pass has the newer one.
func again(err error) (reconcile.Result, error) {
	if apierrors.IsConflict(err) {
		return reconcile.Result{RequeueAfter: 50 * time.Millisecond}, nil
	}
	return reconcile.Result{}, err
}
