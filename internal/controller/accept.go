package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/internal/artifact"
	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/follow"
	"github.com/sluice-dev/sluice/internal/version"
)

// DefaultTimeout is the CRD's default of spec.timeout.
const DefaultTimeout = time.Minute

// accept reads the spec and the Secrets it names. What it cannot do is a
// failure that says so; nothing of a spec is passed over in silence.
func (r *OCIRepositories) accept(ctx context.Context, obj *sourcev1.OCIRepository) (follow.Want, follow.Access, *event.Failed) {
	var none follow.Access
	if fields := unsupported(obj); len(fields) > 0 {
		return follow.Want{}, none, &event.Failed{
			Step: event.StepAccept, Stalled: true,
			Text: fmt.Sprintf("this version of Sluice does not support %s; remove it, or leave this object to Flux by the label sharding.fluxcd.io/key", strings.Join(fields, " and ")),
		}
	}
	repo, err := repositoryOf(obj)
	if err != nil {
		return follow.Want{}, none, &event.Failed{
			Step: event.StepURL, Stalled: true, Text: fmt.Sprintf("URL validation failed for '%s': %v", obj.Spec.URL, err),
		}
	}
	rule, err := version.Parse(policyOf(obj))
	if err != nil {
		return follow.Want{}, none, &event.Failed{
			Step: event.StepSelect, Stalled: true, Text: fmt.Sprintf("failed to determine the artifact tag for '%s': %v", obj.Spec.URL, err),
		}
	}
	access, err := r.access(ctx, obj, repo)
	if err != nil {
		return follow.Want{}, none, loginFailed(err)
	}
	return follow.Want{
		Source: sourceOf(obj), Repository: repo, Rule: rule, Ignore: obj.Spec.Ignore,
		MediaType: obj.GetLayerMediaType(), Copy: obj.GetLayerOperation() == sourcev1.OCILayerCopy,
	}, access, nil
}

func loginFailed(err error) *event.Failed {
	return &event.Failed{Step: event.StepLogin, Text: fmt.Sprintf("failed to get credential: %v", err)}
}

// unsupported names the fields that later versions will know.
func unsupported(obj *sourcev1.OCIRepository) []string {
	var fields []string
	if p := obj.Spec.Provider; p != "" && p != sourcev1.GenericOCIProvider {
		fields = append(fields, "spec.provider "+p)
	}
	if obj.Spec.Verify != nil {
		fields = append(fields, "spec.verify")
	}
	if obj.Spec.ServiceAccountName != "" {
		fields = append(fields, "spec.serviceAccountName")
	}
	if obj.Spec.ProxySecretRef != nil {
		fields = append(fields, "spec.proxySecretRef")
	}
	return fields
}

func repositoryOf(obj *sourcev1.OCIRepository) (artifact.Repository, error) {
	if !strings.HasPrefix(obj.Spec.URL, artifact.Scheme) {
		return artifact.Repository{}, errors.New("URL must be in format 'oci://<domain>/<org>/<repo>'")
	}
	return artifact.ParseRepository(obj.Spec.URL)
}

func (r *OCIRepositories) access(ctx context.Context, obj *sourcev1.OCIRepository, repo artifact.Repository) (follow.Access, error) {
	a := follow.Access{Repository: repo, Insecure: obj.Spec.Insecure}
	if ref := obj.Spec.SecretRef; ref != nil {
		secret, err := r.secret(ctx, obj.Namespace, ref.Name)
		if err != nil {
			return a, err
		}
		a.DockerConfig = secret.Data[corev1.DockerConfigJsonKey]
		if len(a.DockerConfig) == 0 {
			return a, fmt.Errorf("secret '%s/%s' has no key %s; make it with: kubectl create secret docker-registry", obj.Namespace, ref.Name, corev1.DockerConfigJsonKey)
		}
	}
	if ref := obj.Spec.CertSecretRef; ref != nil && ref.Name != "" {
		secret, err := r.secret(ctx, obj.Namespace, ref.Name)
		if err != nil {
			return a, err
		}
		a.CA, a.Cert, a.Key = secret.Data["ca.crt"], secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey]
		switch {
		case len(a.CA)+len(a.Cert)+len(a.Key) == 0:
			return a, fmt.Errorf("secret '%s/%s' has none of ca.crt, tls.crt and tls.key", obj.Namespace, ref.Name)
		case (len(a.Cert) == 0) != (len(a.Key) == 0):
			return a, fmt.Errorf("secret '%s/%s' needs both tls.crt and tls.key for a client certificate", obj.Namespace, ref.Name)
		}
	}
	return a, nil
}

func (r *OCIRepositories) secret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	if err := r.Live.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, secret); err != nil {
		return nil, fmt.Errorf("failed to get secret '%s/%s': %w", namespace, name, err)
	}
	return secret, nil
}
