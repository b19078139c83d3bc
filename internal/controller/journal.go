package controller

import (
	"context"
	"fmt"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/deliver"
	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/status"
)

// journal folds the events of a roll-out into the status of its Kustomization
// and tells the news.
type journal struct {
	latest[*kustomizev1.Kustomization]
	client client.Client
	tell   Teller
	stream func(event.Event)
	// noSuccess leaves out what becomes a commit status.
	noSuccess bool

	obj    *kustomizev1.Kustomization // as it was last written
	base   kustomizev1.KustomizationStatus
	about  status.Delivery
	events []event.Event
	told   int
}

// commitStatus marks the notice of which notification-controller makes a commit
// status.
const commitStatus = "kustomize.toolkit.fluxcd.io/commit_status"

// Begin implements deliver.Journal.
func (j *journal) Begin(ks *kustomizev1.Kustomization) {
	j.obj = ks.DeepCopy()
	j.base = *ks.Status.DeepCopy()
	j.about = aboutKustomization(ks)
	j.events, j.told = nil, 0
}

// Record implements deliver.Journal. News is told when it is written, not
// before.
func (j *journal) Record(ctx context.Context, e event.Event) error {
	e.Object = j.about.Object
	j.events = append(j.events, e)
	next, notices := status.FoldKustomization(j.base, j.about, j.events)
	if err := j.write(ctx, next); err != nil {
		j.events = j.events[:len(j.events)-1]
		return err
	}
	if j.stream != nil {
		j.stream(e)
	}
	for _, n := range notices[j.told:] {
		if !j.noSuccess || n.Metadata[commitStatus] == "" {
			j.tell.Tell(n)
		}
	}
	j.told = len(notices)
	return nil
}

func (j *journal) write(ctx context.Context, next kustomizev1.KustomizationStatus) error {
	if equality.Semantic.DeepEqual(j.obj.Status, next) || !j.obj.DeletionTimestamp.IsZero() && len(j.obj.Finalizers) == 0 {
		return nil
	}
	after := j.obj.DeepCopy()
	after.Status = next
	base := j.obj.ResourceVersion
	patch := client.MergeFromWithOptions(j.obj, client.MergeFromWithOptimisticLock{})
	err := j.client.Status().Patch(ctx, after, patch, client.FieldOwner(kustomizeStatusOwner))
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return fmt.Errorf("writing the status of Kustomization %s/%s: %w", j.obj.Namespace, j.obj.Name, deliver.ErrOutdated)
	}
	if err != nil {
		return fmt.Errorf("writing the status of Kustomization %s/%s: %w", j.obj.Namespace, j.obj.Name, err)
	}
	j.wrote(base, after)
	j.obj = after
	return nil
}

func aboutKustomization(ks *kustomizev1.Kustomization) status.Delivery {
	requested, _ := meta.ReconcileAnnotationValue(ks.GetAnnotations())
	return status.Delivery{
		Object: event.Object{
			APIVersion: kustomizev1.GroupVersion.String(), Kind: kustomizev1.KustomizationKind,
			Namespace: ks.Namespace, Name: ks.Name, UID: string(ks.UID),
		},
		Generation: ks.Generation, RequestedAt: requested,
	}
}
