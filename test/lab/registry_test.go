package lab_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// The smallest artifact goes in, comes out, survives as its digest, and can be deleted.
func TestRegistryKeepsAnArtifact(t *testing.T) {
	t.Parallel()
	const manifestType = "application/vnd.oci.image.manifest.v1+json"
	base := "http://" + readInventory(t).Registry + "/v2/" + unique("lab/test-")
	call := func(method, url, contentType string, body []byte, want int) *http.Response {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", contentType)
		request.Header.Set("Accept", manifestType)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Fatalf("%s %s: %s, want %d: %s", method, url, answer.Status, want, text)
		}
		answer.Body = io.NopCloser(bytes.NewReader(text))
		return answer
	}
	blob := []byte("{}")
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(blob))
	upload := call(http.MethodPost, base+"/blobs/uploads/", "", nil, http.StatusAccepted).Header.Get("Location")
	separator := "?"
	if strings.Contains(upload, "?") {
		separator = "&"
	}
	call(http.MethodPut, upload+separator+"digest="+digest, "application/octet-stream", blob, http.StatusCreated)
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":2},"layers":[]}`, manifestType, digest)
	pushed := call(http.MethodPut, base+"/manifests/1.0.0", manifestType, manifest, http.StatusCreated).Header.Get("Docker-Content-Digest")

	pulled, _ := io.ReadAll(call(http.MethodGet, base+"/manifests/"+pushed, "", nil, http.StatusOK).Body)
	if !bytes.Equal(pulled, manifest) {
		t.Errorf("pulled %s", pulled)
	}
	tags, _ := io.ReadAll(call(http.MethodGet, base+"/tags/list", "", nil, http.StatusOK).Body)
	if !strings.Contains(string(tags), `"1.0.0"`) {
		t.Errorf("tags %s", tags)
	}
	call(http.MethodDelete, base+"/manifests/"+pushed, "", nil, http.StatusAccepted)
	call(http.MethodGet, base+"/manifests/1.0.0", "", nil, http.StatusNotFound)
}
