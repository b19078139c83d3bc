package controller

import (
	"context"
	"errors"
	"fmt"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/deliver"
	"github.com/sluice-dev/sluice/internal/plan"
)

// Reads are what deliveries read from the API server of the controller's own
// cluster, live: nothing of a Secret is held.
type Reads struct {
	Live     client.Reader
	Clusters Clusters
	Access   Access
}

// Clusters connects to a cluster as somebody.
type Clusters interface {
	Target(ctx context.Context, id Identity) (deliver.Target, error)
}

// Identity says which cluster is meant and as whom it is used.
type Identity struct {
	// KubeConfig of another cluster; nil is the controller's own.
	KubeConfig []byte
	// Named is how messages call the other cluster: "Secret/ns/name".
	Named string
	// User is the account that is impersonated; empty is the controller's, or
	// that of the kubeconfig.
	User string
	// Owner is the Kustomization that asks: it is woken when something changes.
	Owner plan.Owner
}

// Peer implements deliver.Peers.
func (r *Reads) Peer(ctx context.Context, name types.NamespacedName) (*kustomizev1.Kustomization, error) {
	ks := &kustomizev1.Kustomization{}
	err := r.Live.Get(ctx, name, ks)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return ks, err
}

// Values implements deliver.Values.
func (r *Reads) Values(ctx context.Context, kind, namespace, name string) (map[string]string, bool, error) {
	key := types.NamespacedName{Namespace: namespace, Name: name}
	data := map[string]string{}
	var err error
	switch kind {
	case "ConfigMap":
		var m corev1.ConfigMap
		if err = r.Live.Get(ctx, key, &m); err == nil {
			data = m.Data
		}
	case "Secret":
		var s corev1.Secret
		if err = r.Live.Get(ctx, key, &s); err == nil {
			for k, v := range s.Data {
				data[k] = string(v)
			}
		}
	default:
		err = fmt.Errorf("%s is neither ConfigMap nor Secret", kind)
	}
	if apierrors.IsNotFound(err) {
		return nil, false, nil
	}
	return data, err == nil, err
}

// Target implements deliver.Targets.
func (r *Reads) Target(ctx context.Context, ks *kustomizev1.Kustomization) (deliver.Target, error) {
	id := Identity{Owner: plan.Owner{Namespace: ks.Namespace, Name: ks.Name}}
	account := ks.Spec.ServiceAccountName
	if kc := ks.Spec.KubeConfig; kc != nil && kc.SecretRef != nil {
		id.Named = fmt.Sprintf("Secret/%s/%s", ks.Namespace, kc.SecretRef.Name)
		content, err := r.kubeConfig(ctx, ks.Namespace, kc.SecretRef.Name, kc.SecretRef.Key)
		if err != nil {
			return nil, err
		}
		id.KubeConfig = content
	} else if account == "" {
		account = r.Access.DefaultServiceAccount
	}
	if account == "" && id.KubeConfig != nil {
		account = r.Access.DefaultServiceAccount
	}
	if account != "" {
		id.User = fmt.Sprintf("system:serviceaccount:%s:%s", ks.Namespace, account)
	}
	if account != "" && id.KubeConfig == nil && !ks.DeletionTimestamp.IsZero() {
		if err := r.accountExists(ctx, ks.Namespace, account); err != nil {
			return nil, err
		}
	}
	return r.Clusters.Target(ctx, id)
}

// kubeConfig reads a kubeconfig from a Secret, from the keys that Flux looks at
// (fluxcd/pkg/runtime/client kubeconfig.go).
func (r *Reads) kubeConfig(ctx context.Context, namespace, name, key string) ([]byte, error) {
	var secret corev1.Secret
	err := r.Live.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &secret)
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%w: the kubeconfig in Secret '%s/%s': %w", deliver.ErrIdentityGone, namespace, name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig in Secret '%s/%s': %w", namespace, name, err)
	}
	keys := []string{"value", "value.yaml"}
	if key != "" {
		keys = []string{key}
	}
	for _, k := range keys {
		if content := secret.Data[k]; len(content) > 0 {
			return content, nil
		}
	}
	return nil, fmt.Errorf("the Secret '%s/%s' has no kubeconfig under %v", namespace, name, keys)
}

func (r *Reads) accountExists(ctx context.Context, namespace, name string) error {
	var account corev1.ServiceAccount
	err := r.Live.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &account)
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("%w: the account '%s/%s': %w", deliver.ErrIdentityGone, namespace, name, err)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("looking for ServiceAccount '%s/%s'", namespace, name), err)
	}
	return nil
}
