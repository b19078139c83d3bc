package hint

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/internal/artifact"
)

func TestRepositories(t *testing.T) {
	pubsub := base64.StdEncoding.EncodeToString([]byte(`{"action":"INSERT","digest":"gcr.io/org/app@sha256:` + strings.Repeat("a", 64) + `","tag":"gcr.io/org/app:v1"}`))
	for name, c := range map[string]struct {
		body string
		want string
	}{
		"distribution push":   {`{"events":[{"action":"push","target":{"repository":"org/app","digest":"sha256:1"},"request":{"host":"x"}},{"action":"push","target":{"repository":"org/app"}}]}`, "/org/app"},
		"distribution pull":   {`{"events":[{"action":"pull","target":{"repository":"org/app"}}]}`, ""},
		"distribution delete": {`{"events":[{"action":"delete","target":{"repository":"org/app"}}]}`, "/org/app"},
		"ghcr package":        {`{"action":"published","package":{"name":"app-kustomize","namespace":"Org","ecosystem":"CONTAINER","package_type":"CONTAINER"},"repository":{"full_name":"Org/app"}}`, "ghcr.io/org/app-kustomize"},
		"ghcr registry":       {`{"action":"published","registry_package":{"name":"app","owner":{"login":"org"},"package_type":"container"}}`, "ghcr.io/org/app"},
		"npm package":         {`{"package":{"name":"app","namespace":"org","package_type":"npm"}}`, ""},
		"docker hub":          {`{"push_data":{"tag":"v1"},"repository":{"repo_name":"org/app","repo_url":"https://hub.docker.com/r/org/app"}}`, "docker.io/org/app"},
		"quay":                {`{"name":"app","repository":"org/app","docker_url":"quay.io/org/app"}`, "quay.io/org/app docker.io/org/app"},
		"harbor":              {`{"type":"PUSH_ARTIFACT","event_data":{"resources":[{"resource_url":"harbor.example.com/org/app:v1"}],"repository":{"repo_full_name":"org/app"}}}`, "harbor.example.com/org/app /org/app"},
		"acr":                 {`{"action":"push","target":{"repository":"org/app"},"request":{"host":"x.azurecr.io"}}`, "x.azurecr.io/org/app"},
		"gcr":                 {`{"message":{"data":"` + pubsub + `"}}`, "gcr.io/org/app"},
		"nexus":               {`{"component":{"format":"docker","name":"org/app","version":"v1"}}`, "/org/app"},
		"generic":             {`{"repository":"oci://registry.example.com:5000/org/app"}`, "registry.example.com:5000/org/app"},
		"ping":                {`{"zen":"Keep it logically awesome."}`, ""},
		"another sender":      {`{"message":"hello","events":"none","repository":"ghcr.io/org/app"}`, "ghcr.io/org/app"},
		"unsafe name":         {`{"events":[{"action":"push","target":{"repository":"../../etc"}}]}`, ""},
		"no JSON":             {`org/app`, ""},
	} {
		var got []string
		for _, r := range Repositories([]byte(c.body)) {
			got = append(got, r.String())
		}
		if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// FuzzRepositories: whatever a post holds, only names of repositories come out.
func FuzzRepositories(f *testing.F) {
	f.Add([]byte(`{"events":[{"action":"push","target":{"repository":"org/app"}}]}`))
	f.Add([]byte(`{"repository":"ghcr.io/org/app:v1","docker_url":"x"}`))
	f.Add([]byte(`{"message":{"data":"e30="},"target":{"repository":"a"},"request":{"host":"h:1"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, r := range Repositories(body) {
			host := r.Host
			if host == "" {
				host = "localhost"
			}
			if ref, err := artifact.ParseReference(host + "/" + r.Path); err != nil || ref.Path != r.Path || ref.Tag != "" || ref.Digest != "" {
				t.Fatalf("%q is no repository: %v", r, err)
			}
		}
	})
}

type woken struct {
	mu    sync.Mutex
	repos []string
}

func (w *woken) Wake(_ context.Context, repo artifact.Repository) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.repos = append(w.repos, repo.String())
}

func (w *woken) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.repos)
}

const push = `{"events":[{"action":"push","target":{"repository":"org/app"}}]}`

func post(h http.Handler, path, body string, headers ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodPost, path, bytes.NewReader([]byte(body)))
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

func TestOnlyThoseWhoKnowTheToken(t *testing.T) {
	mac := hmac.New(sha256.New, []byte("token"))
	mac.Write([]byte(push))
	signature := "sha256=" + hex.EncodeToString(mac.Sum(nil))
	path := fmt.Sprintf("/hook/%x", sha256.Sum256([]byte("token")))
	for name, c := range map[string]struct {
		path    string
		headers []string
		status  int
	}{
		"bearer":            {"/hook", []string{"Authorization", "Bearer token"}, 202},
		"github":            {"/hook/github", []string{"X-Hub-Signature-256", signature}, 202},
		"generic hmac":      {"/hook", []string{"X-Signature", signature}, 202},
		"gitlab":            {"/hook", []string{"X-Gitlab-Token", "token"}, 202},
		"path":              {path, nil, 202},
		"nothing":           {"/hook", nil, 401},
		"wrong bearer":      {"/hook", []string{"Authorization", "Bearer tokem"}, 401},
		"empty bearer":      {"/hook", []string{"Authorization", "Bearer "}, 401},
		"wrong hmac":        {"/hook", []string{"X-Signature", strings.Replace(signature, signature[7:9], "00", 1)}, 401},
		"unknown algorithm": {"/hook", []string{"X-Signature", "md5=" + signature[7:]}, 401},
		"wrong path":        {path[:len(path)-1] + "g", nil, 401},
		"elsewhere":         {"/other", []string{"Authorization", "Bearer token"}, 404},
	} {
		var w woken
		got := post(NewHandler(t.Context(), "token", &w), c.path, push, c.headers...)
		if got.Code != c.status || (c.status == 202) != (len(w.repos) == 1) {
			t.Errorf("%s: %d, woken %v; want %d", name, got.Code, w.repos, c.status)
		}
	}
	h := NewHandler(t.Context(), "token", &woken{})
	big := post(h, "/hook", strings.Repeat("x", maxBody+1), "Authorization", "Bearer token")
	if big.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a body of more than 1 MiB: %d", big.Code)
	}
	var w woken
	if got := post(NewHandler(t.Context(), "token", &w), "/hook?repository=ghcr.io/org/app", "", "Authorization", "Bearer token"); got.Code != 202 || len(w.repos) != 1 {
		t.Errorf("by query: %d, %v", got.Code, w.repos)
	}
}

// A burst is two hints: the first at once, the last when the gap is over.
func TestHintsArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w woken
		h := NewHandler(t.Context(), "token", &w)
		for range 50 {
			post(h, "/hook", push, "Authorization", "Bearer token")
		}
		if w.count() != 1 {
			t.Errorf("%d at once", w.count())
		}
		time.Sleep(2 * Gap)
		synctest.Wait()
		if w.count() != 2 {
			t.Errorf("%d after the gap", w.count())
		}
		time.Sleep(10 * Gap)
		post(h, "/hook", push, "Authorization", "Bearer token")
		post(h, "/hook", strings.ReplaceAll(push, "org/app", "org/other"), "Authorization", "Bearer token")
		if w.count() != 4 {
			t.Errorf("%d after a quiet time", w.count())
		}
	})
}
