package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Owned is what a manager owns of an object: the fields it applied, and a
// digest over their values. It holds no value itself.
type Owned struct {
	APIVersion string
	Fields     []byte // FieldsV1
	Digest     string
}

// OwnedBy reads what a manager owns by apply. It is false if the manager applied
// nothing, or has entries of more than one version.
func OwnedBy(live *unstructured.Unstructured, manager string) (Owned, bool) {
	return ownedIn(live, live.GetManagedFields(), manager)
}

func ownedIn(live *unstructured.Unstructured, entries []metav1.ManagedFieldsEntry, manager string) (Owned, bool) {
	var owned Owned
	found := 0
	for _, entry := range entries {
		if entry.Manager != manager || entry.Operation != metav1.ManagedFieldsOperationApply || entry.Subresource != "" || entry.FieldsV1 == nil {
			continue
		}
		found++
		owned.APIVersion, owned.Fields = entry.APIVersion, entry.FieldsV1.GetRawBytes()
	}
	if found != 1 {
		return Owned{}, false
	}
	set, err := parseFields(owned.Fields)
	if err != nil {
		return Owned{}, false
	}
	owned.Digest = set.digest(live)
	return owned, true
}

// Satisfies tells that applying desired would change nothing: what it says is
// what we own, and has the values that are there. It is never true wrongly; it
// is false where the server writes a value differently or fills in a default
// within a field that is owned as a whole.
func (o Owned) Satisfies(desired *unstructured.Unstructured) bool {
	if o.Digest == "" || o.APIVersion != desired.GetAPIVersion() {
		return false
	}
	set, err := parseFields(o.Fields)
	if err != nil {
		return false
	}
	return set.covers(desired) && set.digest(desired) == o.Digest
}

// DesiredDigest names what is wanted: the object and the rules that decide how
// it is applied. Equal digests are equal wishes.
func DesiredDigest(desired *unstructured.Unstructured, rules Rules) string {
	hash := sha256.New()
	writeCanonical(hash, desired.Object)
	// StageKinds and Prune decide when, not how.
	options, err := json.Marshal([]any{rules.Force, rules.Ignore, rules.OverrideManagers, rules.MigrateAPIVersion})
	if err != nil {
		return "" // plain strings and flags always marshal
	}
	hash.Write(options)
	return hex.EncodeToString(hash.Sum(nil))
}

func (s fieldSet) digest(u *unstructured.Unstructured) string {
	hash := sha256.New()
	io.WriteString(hash, "1\n") // a new form of the digest takes a new number
	s.root.write(hash, u.Object, emptyStructs(u))
	return hex.EncodeToString(hash.Sum(nil))
}
