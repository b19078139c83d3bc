package simulate

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
)

// binder binds claims, as the volume binder and a provisioner do together.
type binder struct {
	client  kubernetes.Interface
	claims  corelisters.PersistentVolumeClaimLister
	volumes corelisters.PersistentVolumeLister
	classes storagelisters.StorageClassLister
	events  record.EventRecorder
}

func claimLoop(client kubernetes.Interface, shared informers.SharedInformerFactory, events record.EventRecorder) *loop {
	core, storage := shared.Core().V1(), shared.Storage().V1()
	b := &binder{client: client, events: events, claims: core.PersistentVolumeClaims().Lister(),
		volumes: core.PersistentVolumes().Lister(), classes: storage.StorageClasses().Lister()}
	l := newLoop("claims", 2)
	l.on(core.PersistentVolumeClaims().Informer())
	// A claim may wait for the class or the volume that it names.
	again := cache.ResourceEventHandlerFuncs{AddFunc: func(any) { b.queueAll(l) }}
	storage.StorageClasses().Informer().AddEventHandler(again)
	core.PersistentVolumes().Informer().AddEventHandler(again)
	l.sync = b.sync
	return l
}

func (b *binder) queueAll(l *loop) {
	all, _ := b.claims.List(labels.Everything())
	for _, claim := range all {
		if claim.Status.Phase != corev1.ClaimBound {
			l.queue.Add(claim.Namespace + "/" + claim.Name)
		}
	}
}

func (b *binder) sync(ctx context.Context, key string) (time.Duration, error) {
	namespace, name, _ := cache.SplitMetaNamespaceKey(key)
	claim, err := b.claims.PersistentVolumeClaims(namespace).Get(name)
	if err != nil || claim.DeletionTimestamp != nil {
		return 0, nil
	}
	if claim.Spec.VolumeName == "" {
		volume, err := b.provision(ctx, claim)
		if volume == nil || err != nil {
			return 0, err
		}
		if claim, err = b.pointTo(ctx, claim, volume); err != nil {
			return 0, err
		}
	} else if ok, err := b.claimVolume(ctx, claim); !ok || err != nil {
		return 0, err
	}
	return 0, b.report(ctx, claim)
}

// provision returns the claim's new volume, or nil if the claim has to wait.
func (b *binder) provision(ctx context.Context, claim *corev1.PersistentVolumeClaim) (*corev1.PersistentVolume, error) {
	if claim.Spec.StorageClassName == nil || *claim.Spec.StorageClassName == "" {
		return nil, nil // wants no provisioning
	}
	class, err := b.classes.Get(*claim.Spec.StorageClassName)
	if err != nil {
		b.events.Eventf(claim, corev1.EventTypeWarning, "ProvisioningFailed", "storageclass.storage.k8s.io %q not found", *claim.Spec.StorageClassName)
		return nil, nil
	}
	waits := class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
	if waits && claim.Annotations["volume.kubernetes.io/selected-node"] == "" {
		return nil, nil // for the scheduler
	}
	volume := newVolume(claim, class)
	created, err := b.client.CoreV1().PersistentVolumes().Create(ctx, volume, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return volume, nil
	}
	if err != nil {
		return nil, fmt.Errorf("provisioning for PersistentVolumeClaim %s/%s: %w", claim.Namespace, claim.Name, err)
	}
	return created, nil
}

func (b *binder) pointTo(ctx context.Context, claim *corev1.PersistentVolumeClaim, volume *corev1.PersistentVolume) (*corev1.PersistentVolumeClaim, error) {
	next := claim.DeepCopy()
	next.Spec.VolumeName = volume.Name
	metav1.SetMetaDataAnnotation(&next.ObjectMeta, bindCompleted, "yes")
	metav1.SetMetaDataAnnotation(&next.ObjectMeta, boundByController, "yes")
	metav1.SetMetaDataAnnotation(&next.ObjectMeta, "volume.kubernetes.io/storage-provisioner", provisioner)
	updated, err := b.client.CoreV1().PersistentVolumeClaims(claim.Namespace).Update(ctx, next, metav1.UpdateOptions{})
	if err != nil {
		return nil, fmt.Errorf("binding PersistentVolumeClaim %s/%s: %w", claim.Namespace, claim.Name, err)
	}
	return updated, nil
}

// claimVolume makes sure that the volume that the claim names exists and knows of
// the claim. The volume may have been made by the user.
func (b *binder) claimVolume(ctx context.Context, claim *corev1.PersistentVolumeClaim) (bool, error) {
	if claim.Annotations[bindCompleted] != "" {
		return true, nil
	}
	volume, err := b.volumes.Get(claim.Spec.VolumeName)
	if err != nil {
		return false, nil // queued again when it appears
	}
	ref := volume.Spec.ClaimRef
	if ref != nil && (ref.Namespace != claim.Namespace || ref.Name != claim.Name || ref.UID != "" && ref.UID != claim.UID) {
		b.events.Eventf(claim, corev1.EventTypeWarning, "FailedBinding", "volume %q already bound to a different claim.", volume.Name)
		return false, nil
	}
	if ref == nil || ref.UID == "" {
		next := volume.DeepCopy()
		next.Spec.ClaimRef = claimRef(claim)
		if _, err := b.client.CoreV1().PersistentVolumes().Update(ctx, next, metav1.UpdateOptions{}); err != nil {
			return false, fmt.Errorf("binding PersistentVolume %s: %w", volume.Name, err)
		}
	}
	_, err = b.pointTo(ctx, claim, volume)
	return false, err // the update brings the claim here once more
}

func (b *binder) report(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	wanted := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	has := claim.Status.Capacity[corev1.ResourceStorage]
	if claim.Status.Phase == corev1.ClaimBound && has.Cmp(wanted) >= 0 {
		return nil
	}
	next := claim.DeepCopy()
	next.Status.Phase = corev1.ClaimBound
	next.Status.AccessModes = claim.Spec.AccessModes
	next.Status.Capacity = corev1.ResourceList{corev1.ResourceStorage: wanted}
	if _, err := b.client.CoreV1().PersistentVolumeClaims(claim.Namespace).UpdateStatus(ctx, next, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("reporting PersistentVolumeClaim %s/%s: %w", claim.Namespace, claim.Name, err)
	}
	return nil
}

// lastKnown unwraps what an informer hands out when it missed the deletion itself.
func lastKnown(object any) any {
	if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		return gone.Obj
	}
	return object
}
