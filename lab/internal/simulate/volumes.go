package simulate

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
)

const (
	storageClass = "standard"
	provisioner  = "lab.sluice.dev/simulated"

	boundByController = "pv.kubernetes.io/bound-by-controller"
	// The scheduler holds pods back until a claim is bound and says so.
	bindCompleted = "pv.kubernetes.io/bind-completed"
)

// ensureStorageClass creates the default class; what the user made of it stays.
func ensureStorageClass(ctx context.Context, client kubernetes.Interface) error {
	expand, reclaim, mode := true, corev1.PersistentVolumeReclaimDelete, storagev1.VolumeBindingImmediate
	class := &storagev1.StorageClass{
		ObjectMeta:  metav1.ObjectMeta{Name: storageClass, Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}},
		Provisioner: provisioner, AllowVolumeExpansion: &expand, ReclaimPolicy: &reclaim, VolumeBindingMode: &mode,
	}
	_, err := client.StorageV1().StorageClasses().Create(ctx, class, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating StorageClass %s: %w", storageClass, err)
	}
	return nil
}

// newVolume is what a provisioner would create for the claim.
func newVolume(claim *corev1.PersistentVolumeClaim, class *storagev1.StorageClass) *corev1.PersistentVolume {
	reclaim := corev1.PersistentVolumeReclaimDelete
	if class.ReclaimPolicy != nil {
		reclaim = *class.ReclaimPolicy
	}
	name := "pvc-" + string(claim.UID)
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{
			"pv.kubernetes.io/provisioned-by": class.Provisioner, boundByController: "yes"}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: claim.Spec.Resources.Requests[corev1.ResourceStorage]},
			AccessModes:                   claim.Spec.AccessModes,
			VolumeMode:                    claim.Spec.VolumeMode,
			StorageClassName:              class.Name,
			PersistentVolumeReclaimPolicy: reclaim,
			ClaimRef:                      claimRef(claim),
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				HostPath: &corev1.HostPathVolumeSource{Path: "/simulated/" + name}},
		},
	}
}

func claimRef(claim *corev1.PersistentVolumeClaim) *corev1.ObjectReference {
	return &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim",
		Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID, ResourceVersion: claim.ResourceVersion}
}

// volumeLoop gives volumes the phase that follows from their claim, and deletes
// those whose claim is gone if their policy says so.
func volumeLoop(client kubernetes.Interface, shared informers.SharedInformerFactory) *loop {
	l := newLoop("volumes", 1)
	volumes, claims := shared.Core().V1().PersistentVolumes(), shared.Core().V1().PersistentVolumeClaims()
	l.on(volumes.Informer())
	l.onKey(claims.Informer(), func(object any) string {
		claim, _ := lastKnown(object).(*corev1.PersistentVolumeClaim)
		if claim == nil {
			return ""
		}
		return claim.Spec.VolumeName
	})
	l.sync = func(ctx context.Context, name string) (time.Duration, error) {
		volume, err := volumes.Lister().Get(name)
		if err != nil || volume.DeletionTimestamp != nil && volume.Status.Phase != corev1.VolumeBound {
			return 0, nil
		}
		phase := volumePhase(volume, claims.Lister())
		if phase != volume.Status.Phase {
			next := volume.DeepCopy()
			next.Status.Phase = phase
			if volume, err = client.CoreV1().PersistentVolumes().UpdateStatus(ctx, next, metav1.UpdateOptions{}); err != nil {
				return 0, fmt.Errorf("reporting PersistentVolume %s: %w", name, err)
			}
		}
		if phase == corev1.VolumeReleased && volume.DeletionTimestamp == nil && volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete {
			if err := client.CoreV1().PersistentVolumes().Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
				return 0, fmt.Errorf("deleting released PersistentVolume %s: %w", name, err)
			}
		}
		return 0, nil
	}
	return l
}

func volumePhase(volume *corev1.PersistentVolume, claims corelisters.PersistentVolumeClaimLister) corev1.PersistentVolumePhase {
	ref := volume.Spec.ClaimRef
	if ref == nil || ref.UID == "" {
		return corev1.VolumeAvailable
	}
	if claim, err := claims.PersistentVolumeClaims(ref.Namespace).Get(ref.Name); err == nil && claim.UID == ref.UID {
		return corev1.VolumeBound
	}
	return corev1.VolumeReleased
}
