package controller

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sluice-dev/sluice/internal/deliver"
	"github.com/sluice-dev/sluice/internal/event"
)

// kustomizeStatusOwner is what kustomize-controller calls itself when it
// writes statuses.
const kustomizeStatusOwner = "gotk-kustomize-controller"

// Kustomizations reconciles Kustomization objects.
type Kustomizations struct {
	Client client.Client // reads from the cache
	Engine *deliver.Engine
	Access Access
	// Shard selects the objects to reconcile; all are watched, because
	// dependencies may be anywhere.
	Shard labels.Selector
	// Configs selects the ConfigMaps and Secrets whose change starts a roll-out
	// of what refers to them.
	Configs labels.Selector
	// Lanes is how many passes work at a time for one cluster.
	Lanes  int
	Teller Teller
	// NoSuccessEvents leaves out what notification-controller makes commit
	// statuses of (gate DisableCommitStatusEvent).
	NoSuccessEvents bool
	Metrics         Metrics
	// Stream is given every event; may be nil.
	Stream func(event.Event)
	Log    *slog.Logger

	all deliveries
}

// Access holds the flags that restrict what a Kustomization may do.
type Access struct {
	NoCrossNamespace       bool   // --no-cross-namespace-refs
	DefaultServiceAccount  string // --default-service-account
	AllowExternalArtifacts bool   // gate ExternalArtifact
}

// Reconcile looks at one object and starts a pass over it beside the workers.
func (r *Kustomizations) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	obj, err := r.read(ctx, req)
	if err != nil {
		return reconcile.Result{}, err
	}
	if obj == nil {
		r.all.drop(req)
		return reconcile.Result{}, nil
	}
	t := r.all.of(req)
	switch {
	case !obj.DeletionTimestamp.IsZero() && !controllerutil.ContainsFinalizer(obj, kustomizev1.KustomizationFinalizer):
		return reconcile.Result{}, nil
	case !obj.DeletionTimestamp.IsZero():
		t.start(clusterOf(obj), func(ctx context.Context) time.Time { return r.remove(ctx, t, req) })
	case !controllerutil.ContainsFinalizer(obj, kustomizev1.KustomizationFinalizer):
		return again(r.addFinalizer(ctx, t, obj))
	case obj.Spec.Suspend:
		t.start(clusterOf(obj), func(context.Context) time.Time {
			t.delivery.Rest()
			return time.Time{}
		})
	default:
		t.start(clusterOf(obj), func(ctx context.Context) time.Time { return r.advance(ctx, t, req) })
	}
	return reconcile.Result{}, nil
}

// read gives the object at its freshest; nil if it is gone or belongs to
// another shard.
func (r *Kustomizations) read(ctx context.Context, req reconcile.Request) (*kustomizev1.Kustomization, error) {
	obj := &kustomizev1.Kustomization{}
	err := r.Client.Get(ctx, req.NamespacedName, obj)
	if apierrors.IsNotFound(err) || err == nil && !r.Shard.Matches(labels.Set(obj.Labels)) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return r.all.of(req).journal.freshest(obj), nil
}

// advance is a pass over a live object. It returns when the next is due.
func (r *Kustomizations) advance(ctx context.Context, t *tracker, req reconcile.Request) time.Time {
	obj, err := r.read(ctx, req)
	if err != nil || obj == nil || !obj.DeletionTimestamp.IsZero() || obj.Spec.Suspend {
		return time.Time{} // an event of the change is on its way
	}
	o, err := r.occasion(ctx, obj)
	if err != nil {
		r.Log.Error("a pass is put off: reading from the cache failed", "object", aboutKustomization(obj).Object.String(), "error", err)
		return time.Now().Add(time.Second)
	}
	o.Nudges = t.nudged()
	pass := t.delivery.Advance(ctx, o)
	if pass.Ended {
		r.Metrics.Observe(aboutKustomization(obj).Object, pass.Took)
	}
	return pass.Again
}

// remove is a pass over a deleted object.
func (r *Kustomizations) remove(ctx context.Context, t *tracker, req reconcile.Request) time.Time {
	obj, err := r.read(ctx, req)
	if err != nil || obj == nil {
		return time.Time{}
	}
	t.delivery.Rest()
	if t.removal == nil {
		t.removal = deliver.NewRemoval(r.Engine, t.journal)
	}
	done, due := t.removal.Advance(ctx, obj)
	if !done || ctx.Err() != nil {
		return due
	}
	if obj, err = r.read(ctx, req); err != nil || obj == nil {
		return time.Now().Add(time.Second)
	}
	after := obj.DeepCopy()
	controllerutil.RemoveFinalizer(after, kustomizev1.KustomizationFinalizer)
	patch := client.MergeFromWithOptions(obj, client.MergeFromWithOptimisticLock{})
	if err := client.IgnoreNotFound(r.Client.Patch(ctx, after, patch, client.FieldOwner(kustomizeStatusOwner))); err != nil {
		return time.Now().Add(50 * time.Millisecond)
	}
	r.Metrics.Forget(aboutKustomization(obj).Object)
	return time.Time{}
}

func (r *Kustomizations) addFinalizer(ctx context.Context, t *tracker, obj *kustomizev1.Kustomization) error {
	after := obj.DeepCopy()
	controllerutil.AddFinalizer(after, kustomizev1.KustomizationFinalizer)
	patch := client.MergeFromWithOptions(obj, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Patch(ctx, after, patch, client.FieldOwner(kustomizeStatusOwner)); err != nil {
		return fmt.Errorf("adding the finalizer to Kustomization %s/%s: %w", obj.Namespace, obj.Name, err)
	}
	t.journal.wrote(obj.ResourceVersion, after)
	t.start(clusterOf(obj), func(ctx context.Context) time.Time {
		return r.advance(ctx, t, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(obj)})
	})
	return nil
}
