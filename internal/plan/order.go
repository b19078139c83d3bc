package plan

import (
	"cmp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-dev/sluice/internal/object"
)

// The order of kinds (pkg/ssa/sort.go ReconcileOrder): those named here first or
// last, whatever their group, all others between.
var (
	kindsFirst = []string{
		"CustomResourceDefinition", "Namespace", "ClusterRole",
		"ClusterClass", "RuntimeClass", "PriorityClass", "StorageClass", "VolumeSnapshotClass", "IngressClass", "GatewayClass",
		"ClusterRoleBinding", "ResourceQuota", "ServiceAccount", "Role", "RoleBinding",
		"ConfigMap", "Secret", "Service", "LimitRange",
		"Deployment", "StatefulSet", "CronJob", "PodDisruptionBudget",
	}
	kindsLast = []string{"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}
)

func rank(kind string) int {
	if i := slices.Index(kindsFirst, kind); i >= 0 {
		return i - len(kindsFirst)
	}
	return slices.Index(kindsLast, kind) + 1
}

// ApplyOrder compares two objects by the order in which Flux applies them; it
// prunes in the reverse order.
func ApplyOrder(a, b object.ID) int {
	return cmp.Or(cmp.Compare(rank(a.Kind), rank(b.Kind)), a.Compare(b))
}

// The stages, in order.
const (
	definitions = iota
	classes
	custom
	objects
	stageCount
)

var stageNames = [stageCount]string{"definitions", "classes", "custom", "objects"}

// stageOf chooses an object's stage (pkg/ssa/manager_apply.go ApplyAllStaged,
// utils/is.go).
func stageOf(u *unstructured.Unstructured, kinds map[schema.GroupKind]struct{}) int {
	kind, version := strings.ToLower(u.GetKind()), u.GetAPIVersion()
	switch {
	case isCRD(u),
		kind == "namespace" && version == "v1",
		kind == "clusterrole" && strings.HasPrefix(version, "rbac.authorization.k8s.io/"):
		return definitions
	case strings.HasSuffix(u.GetKind(), "Class"):
		return classes
	}
	if _, ok := kinds[u.GroupVersionKind().GroupKind()]; ok {
		return custom
	}
	return objects
}

func isCRD(u *unstructured.Unstructured) bool {
	return strings.EqualFold(u.GetKind(), "CustomResourceDefinition") && strings.HasPrefix(u.GetAPIVersion(), "apiextensions.k8s.io/")
}

// definedBy gives the kind that a CustomResourceDefinition defines.
func definedBy(crd *unstructured.Unstructured) schema.GroupKind {
	group, _, _ := unstructured.NestedString(crd.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "kind")
	return schema.GroupKind{Group: group, Kind: kind}
}
