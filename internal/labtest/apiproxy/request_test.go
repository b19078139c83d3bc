package apiproxy

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func TestRequestsAreRead(t *testing.T) {
	for _, tt := range []struct {
		method, url, contentType, body string
		want                           Request
	}{
		{"GET", "/api/v1/namespaces/a/configmaps/b", "", "",
			Request{Verb: "get", Version: "v1", Resource: "configmaps", Namespace: "a", Name: "b"}},
		{"GET", "/api/v1/namespaces/a/configmaps?fieldSelector=metadata.name%3Db", "", "",
			Request{Verb: "list", Version: "v1", Resource: "configmaps", Namespace: "a"}},
		{"GET", "/apis/apps/v1/deployments?watch=true", "", "",
			Request{Verb: "watch", Group: "apps", Version: "v1", Resource: "deployments"}},
		{"GET", "/apis/apps/v1/deployments?watch=false", "", "",
			Request{Verb: "list", Group: "apps", Version: "v1", Resource: "deployments"}},
		{"GET", "/api/v1/namespaces?watch=1", "", "", Request{Verb: "watch", Version: "v1", Resource: "namespaces"}},
		{"GET", "/api/v1/namespaces/a", "", "", Request{Verb: "get", Version: "v1", Resource: "namespaces", Name: "a"}},
		{"PUT", "/api/v1/namespaces/a/finalize", "", "{}",
			Request{Verb: "update", Version: "v1", Resource: "namespaces", Name: "a", Subresource: "finalize", Sent: 2}},
		{"POST", "/api/v1/namespaces/a/pods/b/eviction", "", "",
			Request{Verb: "create", Version: "v1", Resource: "pods", Namespace: "a", Name: "b", Subresource: "eviction"}},
		{"PATCH", "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/a/kustomizations/b/status?fieldManager=m", "application/merge-patch+json", "",
			Request{Verb: "patch", Group: "kustomize.toolkit.fluxcd.io", Version: "v1", Resource: "kustomizations", Namespace: "a", Name: "b", Subresource: "status", FieldManager: "m"}},
		{"PATCH", "/api/v1/namespaces/a/configmaps/b?dryRun=All&fieldManager=m&force=true", "application/apply-patch+yaml", "",
			Request{Verb: "apply", DryRun: true, Version: "v1", Resource: "configmaps", Namespace: "a", Name: "b", FieldManager: "m"}},
		{"PATCH", "/api/v1/namespaces/a/configmaps/b", "application/apply-patch+cbor", "",
			Request{Verb: "apply", Version: "v1", Resource: "configmaps", Namespace: "a", Name: "b"}},
		{"DELETE", "/api/v1/namespaces/a/configmaps/b", "application/json", `{"propagationPolicy":"Background"}`,
			Request{Verb: "delete", Version: "v1", Resource: "configmaps", Namespace: "a", Name: "b", Sent: 34}},
		{"DELETE", "/api/v1/namespaces/a/configmaps/b", "application/json", `{"dryRun":["All"]}`,
			Request{Verb: "delete", DryRun: true, Version: "v1", Resource: "configmaps", Namespace: "a", Name: "b", Sent: 18}},
		{"DELETE", "/api/v1/namespaces/a/configmaps", "", "",
			Request{Verb: "deletecollection", Version: "v1", Resource: "configmaps", Namespace: "a"}},
		{"GET", "/apis/apps/v1", "", "", Request{Verb: "get"}},
		{"GET", "/api/v1", "", "", Request{Verb: "get"}},
		{"GET", "/version", "", "", Request{Verb: "get"}},
	} {
		r := httptest.NewRequest(tt.method, tt.url, strings.NewReader(tt.body))
		r.Header.Set("Content-Type", tt.contentType)
		got, err := read(r)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(Request{}, "Path")); diff != "" {
			t.Errorf("%s %s (-want +got)\n%s", tt.method, tt.url, diff)
		}
	}
}

// Typed clients send DeleteOptions as protobuf.
func TestDryRunIsFoundInProtobuf(t *testing.T) {
	for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
		raw, err := (&metav1.DeleteOptions{DryRun: dryRun}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		envelope, err := (&runtime.Unknown{Raw: raw}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodDelete, "/api/v1/namespaces/a/secrets/b", strings.NewReader("k8s\x00"+string(envelope)))
		r.Header.Set("Content-Type", runtime.ContentTypeProtobuf)
		got, err := read(r)
		if err != nil {
			t.Fatal(err)
		}
		if want := len(dryRun) > 0; got.DryRun != want || got.Writes() == want {
			t.Errorf("dry-run %v is read as %+v", dryRun, got)
		}
	}
}

func FuzzRequest(f *testing.F) {
	f.Add("PATCH", "/apis/apps/v1/namespaces/a/deployments/b/status", "application/json", []byte(`{}`))
	f.Add("DELETE", "/api/v1/namespaces/a", "application/vnd.kubernetes.protobuf", []byte("k8s\x00\x0a"))
	f.Fuzz(func(t *testing.T, method, path, contentType string, body []byte) {
		r := httptest.NewRequest(http.MethodGet, "/", strings.NewReader(string(body)))
		r.Method, r.URL.Path = method, path
		r.Header.Set("Content-Type", contentType)
		q, err := read(r)
		if err != nil {
			t.Fatal(err)
		}
		if q.Verb == "" || q.Sent != int64(len(body)) || r.ContentLength != q.Sent {
			t.Errorf("%s %q is read as %+v", method, path, q)
		}
	})
}
