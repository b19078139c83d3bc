package plan

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// place is where in an object a walk is: the names of fields, without the
// elements of lists, and the places that are known to be structs.
type place struct {
	path    string
	structs []string
}

func (p place) field(name string) place {
	return place{p.path + "." + name, p.structs}
}

// emptyStruct tells of a place where an empty struct may be applied, and what
// others or the server put into it belongs to them. Elsewhere a field without
// fields below it is one value, owned as a whole.
func (p place) emptyStruct() bool { return slices.Contains(p.structs, p.path) }

// emptyStructs starts a walk that knows such structs: those of all kinds, and
// those of built-in kinds that the typed round trip writes out although they are
// empty.
func emptyStructs(u *unstructured.Unstructured) place {
	pod, own := "", []string{".metadata.labels", ".metadata.annotations"}
	gvk := u.GroupVersionKind()
	switch gvk.Group + "/" + gvk.Kind {
	case "/Pod":
		pod = ".spec"
	case "apps/Deployment":
		pod, own = ".spec.template.spec", append(own, ".spec.strategy")
	case "apps/StatefulSet", "apps/DaemonSet":
		pod, own = ".spec.template.spec", append(own, ".spec.updateStrategy")
	case "apps/ReplicaSet", "batch/Job", "/ReplicationController":
		pod = ".spec.template.spec"
	case "batch/CronJob":
		pod = ".spec.jobTemplate.spec.template.spec"
	default:
		return place{structs: own}
	}
	for _, list := range []string{".containers", ".initContainers", ".ephemeralContainers"} {
		own = append(own, pod+list+".resources")
	}
	return place{structs: own}
}
