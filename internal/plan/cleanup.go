package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"

	"github.com/sluice-dev/sluice/internal/object"
)

// operation is one of a JSON patch (RFC 6902).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// cleanup is what has to be removed from a live object before an apply.
type cleanup struct {
	// patch is empty if there is nothing to remove. It carries the
	// resourceVersion that it was made for, so that entries of others that came
	// since are not lost: a stale one is a Conflict.
	patch []byte
	// live is the object as the patch leaves it.
	live *unstructured.Unstructured
	// takenOver are the managers whose fields become ours; removed the labels
	// and annotations that go.
	takenOver, removed []string
	migrated           bool
}

// cleanupOf decides what to remove (pkg/ssa/manager_apply.go cleanupMetadata and
// migrateAPIVersion, patch.go).
func cleanupOf(desired, live *unstructured.Unstructured, rules Rules) (cleanup, error) {
	c := cleanup{live: live}
	entries := live.GetManagedFields()
	c.migrated = rules.MigrateAPIVersion && migrate(entries, desired.GetAPIVersion())
	changed := c.migrated
	var patch []operation
	if !marked(desired, serverSet, kustomizev1.MergeValue) && !marked(live, serverSet, kustomizev1.MergeValue) {
		patch, c.removed = staleMetadata(desired, live)
		var err error
		entries, c.takenOver, err = takeOver(entries, foreignManagers(rules.OverrideManagers))
		if err != nil {
			return cleanup{}, fmt.Errorf("taking over the fields of others of %s: %w", object.IDOf(desired), err)
		}
		changed = changed || len(c.takenOver) > 0
	}
	if changed {
		patch = append(patch, operation{"replace", "/metadata/managedFields", entries})
	}
	if len(patch) == 0 {
		return c, nil
	}
	if version := live.GetResourceVersion(); version != "" {
		patch = append(patch, operation{"replace", "/metadata/resourceVersion", version})
	}
	raw, err := json.Marshal(patch)
	if err != nil {
		return cleanup{}, fmt.Errorf("writing the clean-up of %s: %w", object.IDOf(desired), err)
	}
	c.patch = raw
	c.live = live.DeepCopy()
	for _, op := range patch {
		if op.Op == "remove" {
			removePointer(c.live.Object, op.Path)
		}
	}
	c.live.SetManagedFields(entries)
	return c, nil
}

// migrate rewrites the version of every entry, and tells whether one had another.
func migrate(entries []metav1.ManagedFieldsEntry, apiVersion string) (changed bool) {
	for i := range entries {
		changed = changed || entries[i].APIVersion != apiVersion
		entries[i].APIVersion = apiVersion
	}
	return changed
}

// staleMetadata removes labels and annotations that nobody needs any more. What
// is wanted stays: it would come and go with every apply.
func staleMetadata(desired, live *unstructured.Unstructured) (patch []operation, removed []string) {
	for _, part := range []struct {
		field     string
		keys      []string
		has, want map[string]string
	}{
		{"annotations", staleAnnotations, live.GetAnnotations(), desired.GetAnnotations()},
		{"labels", staleLabels, live.GetLabels(), desired.GetLabels()},
	} {
		for _, key := range part.keys {
			_, has := part.has[key]
			_, wanted := part.want[key]
			if has && !wanted {
				patch = append(patch, operation{Op: "remove", Path: "/metadata/" + part.field + "/" + strings.ReplaceAll(key, "/", "~1")})
				removed = append(removed, key)
			}
		}
	}
	return patch, removed
}

// takeOver moves the fields of foreign managers to the entry of our own apply,
// which goes last. Without one the first foreign entry becomes it.
func takeOver(entries []metav1.ManagedFieldsEntry, foreign []foreignManager) (left []metav1.ManagedFieldsEntry, from []string, err error) {
	var own metav1.ManagedFieldsEntry
	at, found := ownEntry(entries)
	if found {
		own = entries[at]
	}
	skip := found
	for i, entry := range entries {
		switch {
		case skip && i == at:
			continue
		case !isForeign(entry, foreign):
			left = append(left, entry)
			continue
		case !found:
			from, own, found = append(from, entry.Manager), entry, true
			own.Manager, own.Operation = Manager, metav1.ManagedFieldsOperationApply
			continue
		}
		from = append(from, entry.Manager)
		if own.FieldsV1, err = union(own.FieldsV1, entry.FieldsV1); err != nil {
			return nil, nil, err
		}
	}
	if len(from) == 0 {
		return entries, nil, nil
	}
	slices.Sort(from)
	return append(left, own), slices.Compact(from), nil
}

func union(a, b *metav1.FieldsV1) (*metav1.FieldsV1, error) {
	if a == nil {
		return b, nil
	}
	if b == nil {
		return a, nil
	}
	var sets [2]fieldpath.Set
	for i, f := range []*metav1.FieldsV1{a, b} {
		if err := sets[i].FromJSON(bytes.NewReader(f.GetRawBytes())); err != nil {
			return nil, err
		}
	}
	raw, err := sets[0].Union(&sets[1]).ToJSON()
	if err != nil {
		return nil, err
	}
	return metav1.NewFieldsV1(string(raw)), nil
}
