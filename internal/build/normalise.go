package build

import (
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sluice-dev/sluice/internal/object"
)

// normalise gives an object the form in which Flux applies it: owner labels
// first (fluxcd/pkg/ssa SetOwnerLabels), then a round trip through the Go type
// of a built-in kind (fluxcd/pkg/ssa/normalize). It reports what was dropped.
// The form decides which fields an apply owns.
func normalise(u *unstructured.Unstructured, ks *kustomizev1.Kustomization) ([]UnknownField, error) {
	id := object.IDOf(u)
	var dropped []UnknownField
	if _, _, err := unstructured.NestedStringMap(u.Object, "metadata", "labels"); err != nil {
		dropped = append(dropped, UnknownField{id, ".metadata.labels"})
	}
	setOwner(u, ks)
	if exempt(u) {
		return dropped, nil
	}
	typed, unknown := convert(u)
	for _, path := range unknown {
		dropped = append(dropped, UnknownField{id, path})
	}
	if typed != nil {
		adjust(typed)
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
		if err != nil {
			return nil, fmt.Errorf("normalising %s: %w", id, err)
		}
		u.Object = content
	}
	// Errors would mean that there is no metadata to look at.
	_ = unstructured.SetNestedField(u.Object, nil, "metadata", "creationTimestamp")
	if !isCRD(u) {
		unstructured.RemoveNestedField(u.Object, "status")
	}
	return dropped, nil
}

// exempt: rules of roles would lose what their types cannot tell apart.
func exempt(u *unstructured.Unstructured) bool {
	return u.GetAPIVersion() == "rbac.authorization.k8s.io/v1" && (u.GetKind() == "Role" || u.GetKind() == "ClusterRole")
}

// convert gives the typed object, and the paths of the fields that its type
// has no room for. Nil if the kind is not built in, or if the object does not
// fit its type: then it is for the API server to say why.
func convert(u *unstructured.Unstructured) (typed metav1.Object, unknown []string) {
	made, err := builtin().New(u.GroupVersionKind())
	if err != nil {
		return nil, nil
	}
	typed, ok := made.(metav1.Object)
	if !ok {
		return nil, nil
	}
	err = runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(u.Object, typed, true)
	if strict, ok := runtime.AsStrictDecodingError(err); ok {
		for _, e := range strict.Errors() {
			quoted := strings.TrimPrefix(e.Error(), "unknown field ")
			if path, err := strconv.Unquote(quoted); err == nil {
				quoted = path
			}
			unknown = append(unknown, "."+quoted)
		}
		return typed, unknown
	}
	if err != nil {
		return nil, nil
	}
	return typed, nil
}

// adjust sets what server-side apply cannot do without: the protocol is a part
// of the key of ports, and stringData is never seen again.
func adjust(typed metav1.Object) {
	switch o := typed.(type) {
	case *corev1.Pod:
		protocols(o.Spec)
	case *appsv1.Deployment:
		protocols(o.Spec.Template.Spec)
	case *appsv1.StatefulSet:
		protocols(o.Spec.Template.Spec)
	case *appsv1.DaemonSet:
		protocols(o.Spec.Template.Spec)
	case *appsv1.ReplicaSet:
		protocols(o.Spec.Template.Spec)
	case *batchv1.Job:
		protocols(o.Spec.Template.Spec)
	case *batchv1.CronJob:
		protocols(o.Spec.JobTemplate.Spec.Template.Spec)
	case *corev1.Service:
		for i := range o.Spec.Ports {
			if o.Spec.Ports[i].Protocol == "" {
				o.Spec.Ports[i].Protocol = corev1.ProtocolTCP
			}
		}
	case *corev1.Secret:
		for key, value := range o.StringData {
			if o.Data == nil {
				o.Data = map[string][]byte{}
			}
			o.Data[key] = []byte(value)
		}
		o.StringData = nil
	}
}

func protocols(pod corev1.PodSpec) {
	for _, container := range pod.Containers {
		for i := range container.Ports {
			if container.Ports[i].Protocol == "" {
				container.Ports[i].Protocol = corev1.ProtocolTCP
			}
		}
	}
}

// dropBadCABundle removes from a CRD a caBundle that the API server would
// refuse (fluxcd/pkg/ssa/utils RemoveCABundleFromCRD).
func dropBadCABundle(u *unstructured.Unstructured) {
	at := []string{"spec", "conversion", "webhook", "clientConfig", "caBundle"}
	bundle, found, err := unstructured.NestedString(u.Object, at...)
	if !isCRD(u) || err != nil || !found || bundle == "" {
		return
	}
	pem, err := base64.StdEncoding.DecodeString(bundle)
	if err != nil || len(pem) > 0 && !x509.NewCertPool().AppendCertsFromPEM(pem) {
		unstructured.RemoveNestedField(u.Object, at...)
	}
}
