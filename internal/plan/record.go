package plan

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"

	"github.com/sluice-dev/sluice/internal/health"
	"github.com/sluice-dev/sluice/internal/object"
)

// Record is what is remembered of a live object: enough to know without asking
// that it is as wanted, and no value of it.
type Record struct {
	ID              object.ID
	UID             string
	ResourceVersion string
	Generation      int64
	Deleting        bool
	Owner           Owner
	// OwnedDigest is over the values of the fields that Manager applied; empty
	// if it applied none, or if that cannot be told.
	OwnedDigest string
	// Fields are those fields, as managedFields has them (FieldsV1).
	Fields []byte
	// FieldsVersion is the apiVersion that Fields belong to.
	FieldsVersion string
	// Versions are the apiVersions of all entries of managedFields, sorted.
	Versions []string
	// Foreign: something is there that a clean-up removes (Cleanup).
	Foreign bool
	// Policy are Flux's marks in lower case: reconcile, ssa, prune, force.
	Policy map[string]string
	Health health.Verdict
}

// Applied are the digests at the moment when the object was last known to be as
// wanted: after our own apply, or after a dry-run that found nothing to change.
// The zero value is "never". It makes values that the server writes differently
// ("1000m" as "1") count as converged.
type Applied struct {
	Desired string // DesiredDigest
	Owned   string // Record.OwnedDigest of the object that came back
}

// RecordOf makes the record of a live object.
func RecordOf(live *unstructured.Unstructured, overrideManagers []string) Record {
	entries := live.GetManagedFields()
	r := Record{
		ID:              object.IDOf(live),
		UID:             string(live.GetUID()),
		ResourceVersion: live.GetResourceVersion(),
		Generation:      live.GetGeneration(),
		Deleting:        live.GetDeletionTimestamp() != nil,
		Owner:           OwnerOf(live),
		Policy:          policyOf(live),
		Foreign:         hasForeign(live, entries, overrideManagers),
		Health:          health.Judge(live, nil),
	}
	for _, entry := range entries {
		r.Versions = append(r.Versions, entry.APIVersion)
	}
	slices.Sort(r.Versions)
	r.Versions = slices.Compact(r.Versions)
	if owned, ok := ownedIn(live, entries, Manager); ok {
		r.OwnedDigest, r.Fields, r.FieldsVersion = owned.Digest, owned.Fields, owned.APIVersion
	}
	return r
}

// Converged tells that planning with this live object gives Keep. It is never
// true wrongly; false only means that the server has to be asked. An object that
// is left alone by a mark is not converged: Left says why.
func (r Record) Converged(desired *unstructured.Unstructured, rules Rules, applied Applied) bool {
	switch {
	case r.UID == "", r.Deleting, r.OwnedDigest == "", r.FieldsVersion != desired.GetAPIVersion(),
		r.ID != object.IDOf(desired),
		Left(desired, desired) != "",
		r.marked(reconcile, kustomizev1.DisabledValue), r.marked(serverSet, kustomizev1.IgnoreValue):
		return false
	case r.Foreign && !r.marked(serverSet, kustomizev1.MergeValue) && !marked(desired, serverSet, kustomizev1.MergeValue):
		return false
	case rules.MigrateAPIVersion && !slices.Equal(r.Versions, []string{desired.GetAPIVersion()}):
		return false
	}
	if applied.Owned == r.OwnedDigest && applied.Desired != "" && applied.Desired == DesiredDigest(desired, rules) {
		return true
	}
	return r.owned().Satisfies(desired)
}

func (r Record) owned() Owned {
	return Owned{APIVersion: r.FieldsVersion, Fields: r.Fields, Digest: r.OwnedDigest}
}

func (r Record) marked(policy, value string) bool {
	value = strings.ToLower(value)
	return slices.Contains(strings.Split(r.Policy[policy], ","), value)
}
