package plan

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
)

const ownEntryText = `{"manager":"kustomize-controller","operation":"Apply","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:data":{"f:a":{}}}}`

func recorded(t testing.TB, entries ...string) *unstructured.Unstructured {
	return parse(t, `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":"ns","uid":"u","resourceVersion":"5","generation":3,
	  "managedFields":[`+strings.Join(append([]string{ownEntryText}, entries...), ",")+`]},"data":{"a":"dG9wc2VjcmV0"}}`)
}

func entryText(manager, operation, subresource, version string) string {
	return `{"manager":"` + manager + `","operation":"` + operation + `","subresource":"` + subresource + `","apiVersion":"` + version + `","fieldsType":"FieldsV1","fieldsV1":{"f:data":{"f:b":{}}}}`
}

func TestRecordKeepsNoValue(t *testing.T) {
	record := RecordOf(recorded(t), nil)
	raw, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), "dG9wc2VjcmV0") || strings.Contains(string(record.Fields), "dG9wc2VjcmV0") {
		t.Errorf("the record holds the secret: %s", raw)
	}
	if record.UID != "u" || record.ResourceVersion != "5" || record.Generation != 3 || record.FieldsVersion != "v1" {
		t.Errorf("%+v", record)
	}
}

func TestRecordConverged(t *testing.T) {
	desired := parse(t, `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":"ns"},"data":{"a":"dG9wc2VjcmV0"}}`)
	other := with(desired, "data.a=b3RoZXI=")
	sent := Applied{Desired: DesiredDigest(other, Rules{}), Owned: RecordOf(recorded(t), nil).OwnedDigest}
	for name, tc := range map[string]struct {
		live    *unstructured.Unstructured
		desired *unstructured.Unstructured
		rules   Rules
		applied Applied
		want    bool
	}{
		"as wanted":                       {want: true},
		"another value":                   {desired: other},
		"a value the server normalised":   {desired: other, applied: sent, want: true},
		"normalised, for other rules":     {desired: other, applied: sent, rules: Rules{Ignore: []kustomizev1.IgnoreRule{{Paths: []string{"/x"}}}}},
		"normalised, and changed since":   {desired: other, applied: sent, live: with(recorded(t), "data.a=Y2hhbmdlZA==")},
		"another name":                    {desired: with(desired, "metadata.name=x")},
		"being deleted":                   {live: with(recorded(t), "metadata.deletionTimestamp=2026-01-01T00:00:00Z")},
		"disabled live":                   {live: with(recorded(t), "label:"+domain+"reconcile=Disabled")},
		"ignored live":                    {live: with(recorded(t), "annotation:"+domain+"ssa=IGNORE")},
		"disabled by one of two marks":    {live: with(recorded(t), "annotation:"+domain+"reconcile=disabled", "label:"+domain+"reconcile=enabled")},
		"another's label":                 {live: with(recorded(t), "label:x=y"), want: true},
		"a manager that is not ours":      {live: recorded(t, entryText("hpa", "Update", "", "v1")), want: true},
		"kubectl":                         {live: recorded(t, entryText("kubectl-edit", "Update", "", "v1"))},
		"kubectl, of a subresource":       {live: recorded(t, entryText("kubectl", "Update", "scale", "v1")), want: true},
		"kubectl, merged":                 {live: with(recorded(t, entryText("kubectl", "Update", "", "v1")), "label:"+domain+"ssa=Merge"), want: true},
		"our update":                      {live: recorded(t, entryText(Manager, "Update", "", "v1"))},
		"what kubectl remembers":          {live: with(recorded(t), "annotation:kubectl.kubernetes.io/last-applied-configuration=x")},
		"an overridden manager":           {live: recorded(t, entryText("helm", "Apply", "", "v1")), rules: Rules{OverrideManagers: []string{"helm"}}},
		"entries of two versions of ours": {live: recorded(t, entryText(Manager, "Apply", "", "v2"))},
		"an old version":                  {live: recorded(t, entryText("hpa", "Update", "", "v0")), want: true},
		"an old version, to migrate":      {live: recorded(t, entryText("hpa", "Update", "", "v0")), rules: Rules{MigrateAPIVersion: true}},
		"all of one version, to migrate":  {live: recorded(t, entryText("hpa", "Update", "", "v1")), rules: Rules{MigrateAPIVersion: true}, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.live == nil {
				tc.live = recorded(t)
			}
			if tc.desired == nil {
				tc.desired = desired
			}
			record := RecordOf(tc.live, tc.rules.OverrideManagers)
			if got := record.Converged(tc.desired, tc.rules, tc.applied); got != tc.want {
				t.Errorf("Converged = %v, want %v", got, tc.want)
			}
		})
	}
}

func TestDigestIgnoresHowNumbersAreDecoded(t *testing.T) {
	a := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"n": int64(3), "f": 0.5}}}
	b := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"f": 0.5, "n": 3.0}}}
	if DesiredDigest(a, Rules{}) != DesiredDigest(b, Rules{}) {
		t.Error("3 and 3.0 differ")
	}
	b.Object["spec"].(map[string]any)["n"] = "3"
	if DesiredDigest(a, Rules{}) == DesiredDigest(b, Rules{}) {
		t.Error(`3 and "3" are the same`)
	}
	if DesiredDigest(a, Rules{}) == DesiredDigest(a, Rules{Force: true}) {
		t.Error("rules do not count")
	}
}

// What a manager owned by kubectl becomes ours, in one entry at the end; the
// patch names the version it was made for.
func TestCleanup(t *testing.T) {
	live := with(recorded(t, entryText("kubectl-client-side-apply", "Update", "", "v1"), entryText("hpa", "Update", "", "v1")),
		"annotation:kubectl.kubernetes.io/last-applied-configuration={}", "annotation:keep=1", "label:fluxcd.io/sync-gc-mark=x")
	desired := parse(t, `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":"ns"}}`)
	c, err := cleanupOf(desired, live, Rules{})
	if err != nil {
		t.Fatal(err)
	}
	var patch []struct {
		Op, Path string
		Value    json.RawMessage
	}
	if err := json.Unmarshal(c.patch, &patch); err != nil {
		t.Fatal(err)
	}
	var ops []string
	for _, op := range patch {
		ops = append(ops, op.Op+" "+op.Path)
	}
	if d := cmp.Diff([]string{
		"remove /metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration",
		"remove /metadata/labels/fluxcd.io~1sync-gc-mark",
		"replace /metadata/managedFields",
		"replace /metadata/resourceVersion",
	}, ops); d != "" {
		t.Fatal(d)
	}
	var entries []metav1.ManagedFieldsEntry
	if err := json.Unmarshal(patch[2].Value, &entries); err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 || entries[0].Manager != "hpa" || entries[1].Manager != Manager {
		t.Fatalf("%+v", entries)
	}
	if got := entries[1].FieldsV1.GetRawString(); got != `{"f:data":{"f:a":{},"f:b":{}}}` {
		t.Error(got)
	}
	if d := cmp.Diff(map[string]string{"keep": "1"}, c.live.GetAnnotations()); d != "" {
		t.Error(d)
	}
	if again, err := cleanupOf(desired, c.live, Rules{}); err != nil || again.patch != nil {
		t.Errorf("the clean-up is not done after it: %s %v", again.patch, err)
	}
	if merge, err := cleanupOf(with(desired, "annotation:"+domain+"ssa=merge"), live, Rules{}); err != nil || merge.patch != nil {
		t.Errorf("a clean-up in spite of ssa: Merge: %s %v", merge.patch, err)
	}
	wanted := with(desired, "annotation:kubectl.kubernetes.io/last-applied-configuration=x")
	if c, _ := cleanupOf(wanted, with(recorded(t), "annotation:kubectl.kubernetes.io/last-applied-configuration=x"), Rules{}); c.patch != nil {
		t.Errorf("what is wanted is removed: %s", c.patch)
	}
}

// An ignored field that drifted is sent so that it stays as it is.
func TestSettle(t *testing.T) {
	const fields = `{"f:spec":{"f:replicas":{},"f:items":{"k:{\"name\":\"app\"}":{".":{},"f:size":{}}}}}`
	live := parse(t, `{"apiVersion":"example.com/v1","kind":"Thing","metadata":{"name":"x","managedFields":[
	  {"manager":"vpa","operation":"Apply","apiVersion":"example.com/v1","fieldsType":"FieldsV1","fieldsV1":`+fields+`},
	  {"manager":"hpa","operation":"Update","apiVersion":"example.com/v1","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:limit":{}}}}]},
	  "spec":{"replicas":5,"limit":7,"items":[{"name":"app","size":9}]}}`)
	desired := parse(t, `{"apiVersion":"example.com/v1","kind":"Thing","metadata":{"name":"x"},
	  "spec":{"replicas":1,"limit":1,"same":1,"gone":1,"items":[{"name":"app","size":1}]}}`)
	merged := with(desired)
	unstructured.SetNestedField(live.Object, int64(1), "spec", "same")
	got := settle(desired, live, merged, []string{"/spec/replicas", "/spec/limit", "/spec/same", "/spec/gone", "/spec/items/0/size", "/spec/absent"})
	want := parse(t, `{"apiVersion":"example.com/v1","kind":"Thing","metadata":{"name":"x"},"spec":{"limit":7,"same":1,"items":[{"name":"app"}]}}`)
	if d := cmp.Diff(want.Object, got.Object); d != "" {
		t.Error(d)
	}
	if spec := desired.Object["spec"].(map[string]any); len(spec) != 5 || spec["limit"] != int64(1) {
		t.Errorf("the wanted object was changed: %v", spec)
	}
}

func FuzzFields(f *testing.F) {
	f.Add([]byte(`{"f:spec":{".":{},"k:{\"name\":\"a\"}":{},"v:1":{},"i:0":{}}}`), []byte(`{"spec":[{"name":"a"},1]}`))
	f.Add([]byte(`{"f:a":null}`), []byte(`{"a":{"b":1}}`))
	f.Fuzz(func(t *testing.T, raw, text []byte) {
		set, err := parseFields(raw)
		var object map[string]any
		if err != nil || json.Unmarshal(text, &object) != nil {
			return
		}
		u := &unstructured.Unstructured{Object: object}
		owned := Owned{Fields: raw, Digest: set.digest(u)}
		if owned.Satisfies(u) != set.covers(u) {
			t.Error("an object differs from itself")
		}
	})
}
