package health

import (
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// terminating tells whether an object is being deleted, in the words of kstatus.
func terminating(u *unstructured.Unstructured) (Verdict, bool) {
	if at, _, err := unstructured.NestedString(u.Object, "metadata", "deletionTimestamp"); err != nil || at == "" {
		return Verdict{}, false
	}
	return Verdict{Status: Terminating, Message: "Resource scheduled for deletion"}, true
}

// held adds to the verdict on an object that is being deleted which finalizers
// keep it, and who set them.
func held(u *unstructured.Unstructured, verdict Verdict) Verdict {
	if verdict.Status != Terminating {
		return verdict
	}
	var holds []string
	for _, finalizer := range u.GetFinalizers() {
		hold := finalizer
		if by := setBy(u, finalizer); by != "" {
			hold = fmt.Sprintf("%s (set by %s)", finalizer, by)
		}
		holds = append(holds, hold)
	}
	if len(holds) > 0 {
		verdict.Message += "; held by finalizer " + strings.Join(holds, ", ")
	}
	return verdict
}

// setBy finds the field manager that owns a finalizer.
func setBy(u *unstructured.Unstructured, finalizer string) string {
	for _, entry := range u.GetManagedFields() {
		var fields struct {
			Metadata struct {
				Finalizers map[string]json.RawMessage `json:"f:finalizers"`
			} `json:"f:metadata"`
		}
		if entry.FieldsV1 == nil || json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields) != nil {
			continue
		}
		if _, owns := fields.Metadata.Finalizers[fmt.Sprintf("v:%q", finalizer)]; owns {
			return entry.Manager
		}
	}
	return ""
}
