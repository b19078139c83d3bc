package cluster

import (
	"bytes"
	"maps"
	"time"

	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/sluice-dev/sluice/internal/plan"
)

// tell wakes owners, each once; what belongs to nobody concerns nobody.
func (x *index) tell(owners []plan.Owner) {
	told := make(map[plan.Owner]struct{}, len(owners))
	for _, owner := range owners {
		if _, twice := told[owner]; !twice && owner != (plan.Owner{}) {
			told[owner] = struct{}{}
			x.changed(owner)
		}
	}
}

// differ tells whom a change concerns: nobody, the owner, or the one before and
// the one after it.
func differ(a, b plan.Record) []plan.Owner {
	same := a.UID == b.UID && a.Deleting == b.Deleting && a.Foreign == b.Foreign && a.Owner == b.Owner &&
		a.OwnedDigest == b.OwnedDigest && a.FieldsVersion == b.FieldsVersion && bytes.Equal(a.Fields, b.Fields) &&
		a.Health == b.Health && maps.Equal(a.Policy, b.Policy)
	switch {
	case same:
		return nil
	case a.Owner == b.Owner:
		return []plan.Owner{a.Owner}
	default:
		return []plan.Owner{a.Owner, b.Owner}
	}
}

// compare orders resourceVersions. What is not known is older than anything;
// versions that are no numbers cannot be ordered, and the later word counts.
func compare(a, b string) int {
	switch {
	case a == b:
		return 0
	case b == "":
		return 1
	case a == "":
		return -1
	}
	order, err := resourceversion.CompareResourceVersion(a, b)
	if err != nil {
		return 1
	}
	return order
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
