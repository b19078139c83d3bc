package controller_test

import (
	"archive/tar"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/internal/artifact"
	"github.com/sluice-dev/sluice/internal/source/oci/registrytest"
	"github.com/sluice-dev/sluice/internal/status"
)

// What a spec gets wrong stalls it, with a message that names the field, and a
// changed spec heals it.
func TestBadSpecsStall(t *testing.T) {
	w := newWorld(t)
	w.push("org/app", "v: 1\n", "v1.0.0")
	for name, c := range map[string]struct {
		change func(*sourcev1.OCIRepository)
		reason string
		text   string
	}{
		"range":   {func(o *sourcev1.OCIRepository) { o.Spec.Reference.SemVer = "newest" }, sourcev1.ReadOperationFailedReason, `ref.semver: "newest" is no version range`},
		"filter":  {func(o *sourcev1.OCIRepository) { o.Spec.Reference.SemverFilter = "(" }, sourcev1.ReadOperationFailedReason, `ref.semverFilter: "(" is no regular expression`},
		"digest":  {func(o *sourcev1.OCIRepository) { o.Spec.Reference.Digest = "sha256:12" }, sourcev1.ReadOperationFailedReason, "ref.digest"},
		"tag":     {func(o *sourcev1.OCIRepository) { o.Spec.Reference = &sourcev1.OCIRepositoryRef{Tag: "a b"} }, sourcev1.ReadOperationFailedReason, "ref.tag"},
		"url-tag": {func(o *sourcev1.OCIRepository) { o.Spec.URL += ":v1" }, sourcev1.URLInvalidReason, "must not contain a tag; remove ':v1'"},
		"verify": {func(o *sourcev1.OCIRepository) {
			o.Spec.Verify = &sourcev1.OCIRepositoryVerification{Provider: "cosign"}
		}, status.ReasonUnsupported, "does not support spec.verify"},
		"provider": {func(o *sourcev1.OCIRepository) { o.Spec.Provider = "aws" }, status.ReasonUnsupported, "does not support spec.provider aws"},
		"account":  {func(o *sourcev1.OCIRepository) { o.Spec.ServiceAccountName = "sa" }, status.ReasonUnsupported, "does not support spec.serviceAccountName"},
		"proxy": {func(o *sourcev1.OCIRepository) {
			o.Spec.ProxySecretRef = &meta.LocalObjectReference{Name: "proxy"}
		}, status.ReasonUnsupported, "does not support spec.proxySecretRef"},
	} {
		w.source(name, "org/app", c.change)
		w.until(name, "stalled", stalled(c.reason, c.text))
		w.event(name, corev1.EventTypeWarning, c.reason, c.text)
		w.edit(name, func(o *sourcev1.OCIRepository) {
			o.Spec = sourcev1.OCIRepositorySpec{
				URL: w.registry.Repository("org/app").URL(), Interval: metav1.Duration{Duration: time.Hour},
				Reference: &sourcev1.OCIRepositoryRef{SemVer: ">=0.0.0"},
			}
		})
		w.until(name, "healed", at("v1.0.0"))
	}
}

func TestNothingMatchesUntilSomethingDoes(t *testing.T) {
	w := newWorld(t)
	w.push("org/app", "v: 1\n", "v0.9.0", "main")
	w.source("app", "org/app", func(o *sourcev1.OCIRepository) { o.Spec.Reference.SemVer = ">=1.0.0" })
	o := w.until("app", "failed", failing(sourcev1.ReadOperationFailedReason))
	if !strings.Contains(show(o), `no match found for semver ">=1.0.0" among 2 tags`) {
		t.Error(show(o))
	}
	w.push("org/app", "v: 2\n", "v1.0.0")
	w.hint("org/app")
	w.until("app", "ready at v1.0.0", at("v1.0.0"))
}

// Whatever a registry does, the last good artifact stays served, the status
// says what is wrong, and the source heals by itself when the registry does.
func TestFaultsOfTheRegistry(t *testing.T) {
	slow := func(rw http.ResponseWriter, r *http.Request) bool {
		select {
		case <-time.After(300 * time.Millisecond):
		case <-r.Context().Done():
		}
		return false
	}
	for name, c := range map[string]struct {
		fault  func(http.ResponseWriter, *http.Request) bool
		reason string
		text   string
	}{
		"401":            {registrytest.Answer(401), sourcev1.ReadOperationFailedReason, "401 Unauthorized"},
		"403":            {registrytest.Answer(403), sourcev1.ReadOperationFailedReason, "403 Forbidden"},
		"404":            {registrytest.Answer(404), sourcev1.ReadOperationFailedReason, "404 Not Found"},
		"429":            {registrytest.Answer(429), sourcev1.ReadOperationFailedReason, "429 Too Many Requests"},
		"429-with-pause": {registrytest.Answer(429, "Retry-After", "1"), sourcev1.ReadOperationFailedReason, ""},
		"503":            {registrytest.Answer(503), sourcev1.ReadOperationFailedReason, "503 Service Unavailable"},
		"cut":            {registrytest.Cut, sourcev1.ReadOperationFailedReason, "broke the connection off"},
		"hang":           {registrytest.Hang, sourcev1.ReadOperationFailedReason, "no answer in time"},
		"head-500":       {registrytest.Only("/manifests/v", registrytest.Answer(500)), sourcev1.OCIPullFailedReason, "500 Internal Server Error"},
		"manifest-gone":  {registrytest.Only("/manifests/sha256", registrytest.Answer(404)), sourcev1.OCIPullFailedReason, "404 Not Found"},
		"layer-gone":     {registrytest.Only("/blobs/", registrytest.Answer(404)), sourcev1.OCILayerOperationFailedReason, "404 Not Found"},
		"layer-cut":      {registrytest.Only("/blobs/", registrytest.Cut), sourcev1.OCILayerOperationFailedReason, ""},
		"layer-hangs":    {registrytest.Only("/blobs/", registrytest.Hang), sourcev1.OCILayerOperationFailedReason, "no answer in time"},
		"layer-is-other": {registrytest.Only("/blobs/", func(rw http.ResponseWriter, _ *http.Request) bool {
			fmt.Fprint(rw, "something else")
			return true
		}), sourcev1.OCILayerOperationFailedReason, ""},
		"slow": {slow, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.push("org/app", "v: 1\n", "v1.0.0")
			w.source("app", "org/app", func(o *sourcev1.OCIRepository) { o.Spec.Timeout = &metav1.Duration{Duration: time.Second} })
			w.until("app", "ready at v1.0.0", at("v1.0.0"))
			w.push("org/app", "v: 2\n", "v1.1.0")
			w.registry.Fault(c.fault)
			w.hint("org/app")
			if c.reason != "" {
				o := w.until("app", "failed", failing(c.reason))
				if !strings.Contains(show(o), c.text) {
					t.Errorf("want %q in\n%s", c.text, show(o))
				}
				if !strings.HasPrefix(o.Status.Artifact.Revision, "v1.0.0@") || !apimeta.IsStatusConditionTrue(o.Status.Conditions, sourcev1.ArtifactInStorageCondition) {
					t.Errorf("the last good artifact is not kept: %s", show(o))
				}
				w.download(o)
				w.event("app", corev1.EventTypeWarning, c.reason, c.text)
				w.registry.Fault(nil)
			}
			w.until("app", "healed by itself", at("v1.1.0"))
		})
	}
}

func TestTheRegistryIsDownAndComesBack(t *testing.T) {
	w := newWorld(t)
	w.push("org/app", "v: 1\n", "v1.0.0")
	w.source("app", "org/app")
	w.until("app", "ready", ready)
	w.source("nowhere", "org/app", func(o *sourcev1.OCIRepository) { o.Spec.URL = "oci://no-such-host.invalid/org/app" })
	o := w.until("nowhere", "failed", failing(sourcev1.ReadOperationFailedReason))
	if !strings.Contains(show(o), "the host no-such-host.invalid is unknown") {
		t.Error(show(o))
	}
	w.source("refused", "org/app", func(o *sourcev1.OCIRepository) { o.Spec.URL = "oci://127.0.0.1:1/org/app" })
	o = w.until("refused", "failed", failing(sourcev1.ReadOperationFailedReason))
	if !strings.Contains(show(o), "127.0.0.1:1 refused the connection: nothing listens there") {
		t.Error(show(o))
	}
}

func TestAnArtifactThatIsNone(t *testing.T) {
	w := newWorld(t)
	w.push("org/app", "v: 1\n", "v1.0.0")
	w.source("app", "org/app")
	w.until("app", "ready at v1.0.0", at("v1.0.0"))
	for i, c := range []struct {
		content []byte
		text    string
	}{
		{[]byte("kind: Deployment\n"), "content is no gzipped tar"},
		{packTar(t, tar.Header{Name: "../../etc/passwd", Typeflag: tar.TypeReg}), `unsafe tar entry "../../etc/passwd": it leaves the archive`},
		{packTar(t, tar.Header{Name: "big", Typeflag: tar.TypeReg, Size: 11 << 20}), "archive is too large"},
	} {
		tag := fmt.Sprintf("v1.%d.0", i+1)
		w.upload("org/app", packLayer(t, artifact.ContentMediaType, c.content), tag)
		w.hint("org/app")
		o := w.until("app", "failed for "+c.text, func(o *sourcev1.OCIRepository) bool {
			return failing(sourcev1.OCILayerOperationFailedReason)(o) && strings.Contains(show(o), c.text)
		})
		outdated := apimeta.FindStatusCondition(o.Status.Conditions, sourcev1.ArtifactOutdatedCondition)
		if !strings.HasPrefix(o.Status.Artifact.Revision, "v1.0.0@") || outdated == nil || !strings.Contains(outdated.Message, "new revision '"+tag+"@") {
			t.Errorf("the last good artifact is not kept, or the new one not named: %s", show(o))
		}
	}
	w.push("org/app", "v: 9\n", "v1.9.0")
	w.hint("org/app")
	w.until("app", "healed by the next good version", at("v1.9.0"))
}

func TestADisappearedTagIsHeld(t *testing.T) {
	w := newWorld(t)
	w.push("org/app", "v: 1\n", "v1.0.0")
	w.push("org/app", "v: 2\n", "v1.1.0")
	w.source("app", "org/app")
	w.until("app", "ready at v1.1.0", at("v1.1.0"))
	w.deleteTag("org/app", "v1.1.0")
	w.hint("org/app")
	holding := "v1.1.0 disappeared, holding; the best tag now is v1.0.0, which is lower"
	o := w.until("app", "holding", func(o *sourcev1.OCIRepository) bool { return at("v1.1.0")(o) && strings.Contains(show(o), holding) })
	w.download(o)
	w.event("app", corev1.EventTypeWarning, status.ReasonTagDisappeared, holding)

	t.Log("a request takes the lower version")
	w.request("app")
	w.until("app", "back at v1.0.0", at("v1.0.0"))

	t.Log("so does a changed spec, once it has a lower one to offer")
	w.push("org/app", "v: 3\n", "v1.2.0")
	w.hint("org/app")
	w.until("app", "ready at v1.2.0", at("v1.2.0"))
	w.deleteTag("org/app", "v1.2.0")
	w.hint("org/app")
	w.until("app", "holding", func(o *sourcev1.OCIRepository) bool { return strings.Contains(show(o), "v1.2.0 disappeared") })
	w.edit("app", func(o *sourcev1.OCIRepository) { o.Spec.Reference.SemVer = ">=0.1.0" })
	w.until("app", "back at v1.0.0", at("v1.0.0"))
}

// Even without its files, and with the content gone from the registry, a source
// does not forget what it follows and go back.
func TestHeldOverARestartWithoutFiles(t *testing.T) {
	w := newWorld(t)
	w.push("org/app", "v: 1\n", "v1.0.0")
	top := w.push("org/app", "v: 2\n", "v1.1.0")
	w.source("app", "org/app")
	w.until("app", "ready at v1.1.0", at("v1.1.0"))
	w.deleteTag("org/app", "v1.1.0")
	w.deleteTag("org/app", top.Digest().String())
	w.stop()
	w.storage = t.TempDir()
	w.start()
	w.until("app", "failed", failing(sourcev1.OCIPullFailedReason))
	asked := w.registry.Count("/manifests/" + top.Digest().String())
	w.eventually("it tried again", func() bool { return w.registry.Count("/manifests/"+top.Digest().String()) > asked+2 })
	if o := w.get("app"); !strings.HasPrefix(o.Status.Artifact.Revision, "v1.1.0@") || ready(o) {
		t.Errorf("it went back, or says that all is well: %s at %s", show(o), o.Status.Artifact.Revision)
	}
	w.upload("org/app", top, "v1.1.0")
	w.until("app", "healed", at("v1.1.0"))
}

func TestATagThatMovesBackIsFollowedAndSaid(t *testing.T) {
	w := newWorld(t)
	old := w.pushAt("org/app", "v: 1\n", time.Unix(1000, 0), "stable")
	w.source("app", "org/app", func(o *sourcev1.OCIRepository) { o.Spec.Reference = &sourcev1.OCIRepositoryRef{Tag: "stable"} })
	w.until("app", "ready", ready)
	current := w.pushAt("org/app", "v: 2\n", time.Unix(2000, 0), "stable")
	w.hint("org/app")
	isAt := func(digest string) func(*sourcev1.OCIRepository) bool {
		return func(o *sourcev1.OCIRepository) bool {
			return ready(o) && o.Status.Artifact.Revision == "stable@"+digest
		}
	}
	w.until("app", "moved", isAt(current.Digest().String()))
	w.upload("org/app", old, "stable")
	w.hint("org/app")
	w.until("app", "moved back", isAt(old.Digest().String()))
	w.event("app", corev1.EventTypeWarning, status.ReasonTagMovedBack, "tag stable moved back, from content created 1970-01-01T00:33:20Z to content created 1970-01-01T00:16:40Z")
}

func TestADigestThatVanished(t *testing.T) {
	w := newWorld(t)
	p := w.push("org/app", "v: 1\n", "v1.0.0")
	pinned := func(o *sourcev1.OCIRepository) {
		o.Spec.Reference = &sourcev1.OCIRepositoryRef{Digest: p.Digest().String()}
	}
	w.source("app", "org/app", pinned)
	w.until("app", "ready", ready)
	w.deleteTag("org/app", p.Digest().String())
	w.request("app")
	o := w.until("app", "looked at again", func(o *sourcev1.OCIRepository) bool { return o.Status.LastHandledReconcileAt != "" })
	if !ready(o) {
		t.Errorf("what is stored by digest does not depend on the registry any more: %s", show(o))
	}
	// A restart without files finds that it is gone, says so, and heals.
	w.stop()
	w.storage = t.TempDir()
	w.start()
	w.until("app", "failed", failing(sourcev1.OCIPullFailedReason))
	w.upload("org/app", p, "v1.0.0")
	w.until("app", "healed", ready)
}

// A hundred sources of a registry that hangs do not delay one of another.
func TestAHangingRegistryDelaysNobodyElse(t *testing.T) {
	w := newWorld(t)
	w.push("org/app", "v: 1\n", "v1.0.0")
	hanging := registrytest.New(t)
	hanging.Fault(registrytest.Hang)
	for i := range 100 {
		w.source(fmt.Sprintf("stuck-%d", i), "org/app", func(o *sourcev1.OCIRepository) {
			o.Spec.URL = hanging.Repository(fmt.Sprintf("org/stuck-%d", i)).URL()
			o.Spec.Timeout = &metav1.Duration{Duration: 10 * time.Minute}
		})
	}
	w.eventually("all of them hang", func() bool { return hanging.Count("/tags/list") == 100 })
	w.source("app", "org/app")
	w.until("app", "ready", ready)
}

// A hundred sources on five repositories ask each repository once.
func TestRequestsPerPoll(t *testing.T) {
	w := newWorld(t)
	for repo := range 5 {
		w.push(fmt.Sprintf("org/app-%d", repo), "v: 1\n", "v1.0.0")
	}
	w.registry.Requests()
	for i := range 100 {
		w.source(fmt.Sprintf("app-%d", i), fmt.Sprintf("org/app-%d", i%5))
	}
	for i := range 100 {
		w.until(fmt.Sprintf("app-%d", i), "ready", ready)
	}
	_, _, _, _, blobs := w.asked()
	w.registry.Requests()
	for repo := range 5 {
		w.push(fmt.Sprintf("org/app-%d", repo), "v: 2\n", "v1.1.0")
	}
	w.registry.Requests()
	for repo := range 5 {
		w.hint(fmt.Sprintf("org/app-%d", repo))
	}
	for i := range 100 {
		w.until(fmt.Sprintf("app-%d", i), "ready at v1.1.0", at("v1.1.0"))
	}
	lists, heads, manifests, proofs, layers := w.asked()
	t.Logf("installing: %d downloads; a new version each: %d lists, %d HEADs, %d manifests, %d proofs, %d layers", blobs, lists, heads, manifests, proofs, layers)
	if blobs != 1 {
		t.Errorf("one content in five repositories was downloaded %d times", blobs)
	}
	// A source that begins to ask while an answer is on its way may not take
	// it; a second question, shared by all of those, is right.
	if lists > 10 || heads > 10 || manifests > 5 || proofs > 5 || layers > 1 {
		t.Errorf("%d lists, %d HEADs, %d manifests, %d layers for 100 sources on 5 repositories", lists, heads, manifests, layers)
	}

	for repo := range 5 {
		w.hint(fmt.Sprintf("org/app-%d", repo))
	}
	w.eventually("all repositories are asked", func() bool { return w.registry.Count("HEAD") >= 5 })
	for i := range 5 { // a new source per repository comes after all that
		w.source(fmt.Sprintf("late-%d", i), fmt.Sprintf("org/app-%d", i))
		w.until(fmt.Sprintf("late-%d", i), "ready", ready)
	}
	lists, heads, manifests, _, layers = w.asked()
	t.Logf("nothing new, and 5 late comers: %d lists, %d HEADs, %d manifests, %d layers", lists, heads, manifests, layers)
	if lists > 15 || heads > 15 || manifests+layers > 0 {
		t.Errorf("%d lists, %d HEADs, %d manifests, %d layers for a look without news", lists, heads, manifests, layers)
	}
}

// asked sorts the requests since the last time.
func (w *world) asked() (lists, heads, manifests, proofs, layers int) {
	for _, r := range w.registry.Requests() {
		switch {
		case strings.HasPrefix(r, "HEAD") && strings.Contains(r, "/blobs/"): // the right to what is at hand
			proofs++
		case strings.Contains(r, "/tags/list"):
			lists++
		case strings.HasPrefix(r, "HEAD"):
			heads++
		case strings.Contains(r, "/manifests/"):
			manifests++
		case strings.Contains(r, "/blobs/"):
			layers++
		}
	}
	return lists, heads, manifests, proofs, layers
}
