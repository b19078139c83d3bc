package controller_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/artifact"
	"github.com/sluice-dev/sluice/internal/source/oci/registrytest"
	"github.com/sluice-dev/sluice/internal/wire"
)

func TestFollowsWhatIsPublished(t *testing.T) {
	w := newWorld(t)
	first := w.push("org/app", "v: 1\n", "v1.0.0")
	w.source("app", "org/app")
	o := w.until("app", "ready at v1.0.0", at("v1.0.0"))

	a := o.Status.Artifact
	body := w.download(o)
	if got := fmt.Sprintf("sha256:%x", sha256.Sum256(body)); got != a.Digest || int64(len(body)) != *a.Size {
		t.Errorf("served %s with %d bytes; the status says %s with %d", got, len(body), a.Digest, *a.Size)
	}
	if diff := cmp.Diff([]string{"base/cm.yaml", "base/kustomization.yaml", "notes/readme.md"}, w.files(body)); diff != "" {
		t.Error(diff)
	}
	want := &meta.Artifact{
		Path:     "ocirepository/" + w.namespace + "/app/" + first.Digest().String() + ".tar.gz",
		URL:      "http://" + w.serving.Storage + "/ocirepository/" + w.namespace + "/app/" + first.Digest().String() + ".tar.gz",
		Revision: "v1.0.0@" + first.Digest().String(), Digest: a.Digest, Size: a.Size, LastUpdateTime: a.LastUpdateTime,
		Metadata: map[string]string{
			"org.opencontainers.image.created": "1970-01-01T00:16:40Z", "org.opencontainers.image.revision": "v1.0.0@sha1:1",
			"org.opencontainers.image.source": "https://example.com/app",
		},
	}
	if diff := cmp.Diff(want, a); diff != "" {
		t.Error(diff)
	}
	if o.Status.URL != "http://"+w.serving.Storage+"/ocirepository/"+w.namespace+"/app/latest.tar.gz" {
		t.Errorf("status.url is %s", o.Status.URL)
	}
	if diff := cmp.Diff([]string{"finalizers.fluxcd.io"}, o.Finalizers); diff != "" {
		t.Error(diff)
	}
	stored := "stored artifact for digest 'v1.0.0@" + first.Digest().String() + "'"
	var got []string
	for _, c := range o.Status.Conditions {
		got = append(got, fmt.Sprintf("%s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message))
	}
	if diff := cmp.Diff([]string{"Ready=True Succeeded: " + stored, "ArtifactInStorage=True Succeeded: " + stored}, got); diff != "" {
		t.Error(diff)
	}
	w.event("app", corev1.EventTypeNormal, "NewArtifact", "stored artifact with revision 'v1.0.0@"+first.Digest().String()+"' from '"+o.Spec.URL+
		"', origin source 'https://example.com/app', origin revision 'v1.0.0@sha1:1'")

	// The interval is an hour: only the hint can move it now.
	w.push("org/app", "v: 2\n", "v1.1.0")
	w.hint("org/app")
	w.until("app", "ready at v1.1.0", at("v1.1.0"))
}

func TestEveryKindOfRef(t *testing.T) {
	w := newWorld(t)
	stable := w.push("org/app", "v: 1\n", "v1.0.0", "latest")
	w.push("org/app", "v: 2\n", "v0.0.0-fix-staging-test-deploy-20261120-080000", "pinned")
	for name, c := range map[string]struct {
		ref  *sourcev1.OCIRepositoryRef
		want string
	}{
		"none":   {nil, "latest@"},
		"tag":    {&sourcev1.OCIRepositoryRef{Tag: "pinned"}, "pinned@"},
		"semver": {&sourcev1.OCIRepositoryRef{SemVer: ">=0.0.0"}, "v1.0.0@"},
		"filter": {&sourcev1.OCIRepositoryRef{SemVer: ">=0.0.0-0", SemverFilter: ".*-staging-test-deploy-.*"}, "v0.0.0-fix-staging-test-deploy-20261120-080000@"},
		"digest": {&sourcev1.OCIRepositoryRef{Digest: stable.Digest().String(), Tag: "pinned"}, stable.Digest().String()},
	} {
		w.source(name, "org/app", func(o *sourcev1.OCIRepository) { o.Spec.Reference = c.ref })
		w.until(name, "ready at "+c.want, func(o *sourcev1.OCIRepository) bool {
			return ready(o) && strings.HasPrefix(o.Status.Artifact.Revision, c.want)
		})
	}
	w.event("digest", corev1.EventTypeWarning, "FieldIgnored", "ref.tag has no effect beside digest "+stable.Digest().String())
	// A pinned digest that is stored costs no request any more.
	w.registry.Requests()
	w.request("digest")
	w.until("digest", "looked at again", func(o *sourcev1.OCIRepository) bool { return o.Status.LastHandledReconcileAt != "" })
	if got := w.registry.Requests(); len(got) != 0 {
		t.Errorf("a pinned digest was asked for again: %v", got)
	}
}

func TestARequestIsHandledAndChangesNothingElse(t *testing.T) {
	w := newWorld(t)
	w.push("org/app", "v: 1\n", "v1.0.0")
	w.source("app", "org/app")
	before := w.until("app", "ready", ready)
	value := w.request("app")
	after := w.until("app", "handled", func(o *sourcev1.OCIRepository) bool {
		if !ready(o) {
			t.Errorf("a request without news made it %s", show(o))
		}
		return o.Status.LastHandledReconcileAt == value
	})
	after.Status.LastHandledReconcileAt = ""
	if diff := cmp.Diff(before.Status, after.Status); diff != "" {
		t.Errorf("a request without news changed the status:\n%s", diff)
	}
}

func TestALookWithoutNewsWritesNothing(t *testing.T) {
	w := newWorld(t)
	w.push("org/app", "v: 1\n", "v1.0.0")
	w.source("app", "org/app")
	before := w.until("app", "ready", ready)
	w.registry.Requests()
	w.hint("org/app")
	w.eventually("the repository is asked", func() bool { return w.registry.Count("HEAD /v2/org/app/manifests/v1.0.0") == 1 })
	// A second source proves that the first one's pass is long over.
	w.source("other", "org/app")
	w.until("other", "ready", ready)
	if after := w.get("app"); after.ResourceVersion != before.ResourceVersion {
		t.Errorf("a look without news wrote: %s", cmp.Diff(before, after))
	}
}

func TestMovingTheSameContentMovesOnlyTheRevision(t *testing.T) {
	w := newWorld(t)
	first := w.pushAt("org/app", "v: 1\n", time.Unix(1000, 0), "v1.0.0")
	w.source("app", "org/app")
	before := w.until("app", "ready at v1.0.0", at("v1.0.0"))
	second := w.pushAt("org/app", "v: 1\n", time.Unix(2000, 0), "v1.1.0")
	if first.Digest() == second.Digest() || first.Layer.Digest != second.Layer.Digest {
		t.Fatal("this test needs two manifests of one layer")
	}
	w.hint("org/app")
	after := w.until("app", "ready at v1.1.0", at("v1.1.0"))
	if before.Status.Artifact.Digest != after.Status.Artifact.Digest {
		t.Errorf("equal content has the digests %s and %s", before.Status.Artifact.Digest, after.Status.Artifact.Digest)
	}
	if n := w.registry.Count("GET /v2/org/app/blobs/" + first.Layer.Digest.String()); n != 1 {
		t.Errorf("one layer was downloaded %d times", n)
	}
}

func TestIgnoreAndLayerSelectorRebuild(t *testing.T) {
	w := newWorld(t)
	p := w.push("org/app", "v: 1\n", "v1.0.0")
	w.source("app", "org/app")
	w.until("app", "ready", ready)
	rules := "notes/\n"
	w.edit("app", func(o *sourcev1.OCIRepository) { o.Spec.Ignore = &rules })
	o := w.until("app", "rebuilt", func(o *sourcev1.OCIRepository) bool { return ready(o) && o.Status.ObservedIgnore != nil })
	if diff := cmp.Diff([]string{"base/cm.yaml", "base/kustomization.yaml"}, w.files(w.download(o))); diff != "" {
		t.Error(diff)
	}
	selector := &sourcev1.OCILayerSelector{MediaType: artifact.ContentMediaType, Operation: sourcev1.OCILayerCopy}
	w.edit("app", func(o *sourcev1.OCIRepository) { o.Spec.LayerSelector = selector })
	o = w.until("app", "copied", func(o *sourcev1.OCIRepository) bool { return ready(o) && o.Status.ObservedLayerSelector != nil })
	if !bytes.Equal(w.download(o), p.Layer.Content) {
		t.Error("a copied layer differs from what was pushed")
	}
	if n := w.registry.Count("GET /v2/org/app/blobs/"); n != 1 {
		t.Errorf("one layer was downloaded %d times", n)
	}
	w.edit("app", func(o *sourcev1.OCIRepository) { o.Spec.LayerSelector.MediaType = "text/plain" })
	w.until("app", "failed for its layer", failing("OCIArtifactLayerOperationFailed"))
}

func TestSuspendHoldsAndResumeReleases(t *testing.T) {
	w := newWorld(t)
	w.push("org/app", "v: 1\n", "v1.0.0")
	w.source("app", "org/app")
	w.until("app", "ready", ready)
	w.edit("app", func(o *sourcev1.OCIRepository) { o.Spec.Suspend = true })
	w.push("org/app", "v: 2\n", "v1.1.0")
	w.hint("org/app")
	w.source("other", "org/app") // it gets what the suspended one must not take
	w.until("other", "ready at v1.1.0", at("v1.1.0"))
	if o := w.get("app"); !strings.HasPrefix(o.Status.Artifact.Revision, "v1.0.0@") {
		t.Errorf("a suspended source moved to %s", o.Status.Artifact.Revision)
	}
	w.download(w.get("app")) // still served
	w.edit("app", func(o *sourcev1.OCIRepository) { o.Spec.Suspend = false })
	w.until("app", "ready at v1.1.0", at("v1.1.0"))
}

func TestDeletionTakesTheFiles(t *testing.T) {
	w := newWorld(t)
	w.push("org/app", "v: 1\n", "v1.0.0")
	w.source("app", "org/app")
	o := w.until("app", "ready", ready)
	if err := w.client.Delete(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	w.eventually("the object is gone", func() bool {
		return apierrors.IsNotFound(w.client.Get(t.Context(), client.ObjectKeyFromObject(o), &sourcev1.OCIRepository{}))
	})
	if _, err := os.Stat(filepath.Join(w.storage, "ocirepository", w.namespace, "app")); !os.IsNotExist(err) {
		t.Errorf("its files are still there: %v", err)
	}
	if resp, err := http.Get(o.Status.Artifact.URL); err != nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("its artifact is still served: %v, %v", resp, err)
	}
}

func TestCredentialsHealAndCount(t *testing.T) {
	w := newWorld(t, registrytest.PrivateTokens("ana", "secret", 0))
	w.push("org/app", "v: 1\n", "v1.0.0")
	secret := func(password string) *corev1.Secret {
		return &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "login"}, Type: corev1.SecretTypeDockerConfigJson,
			Data: map[string][]byte{corev1.DockerConfigJsonKey: fmt.Appendf(nil, `{"auths":{%q:{"username":"ana","password":%q}}}`, w.registry.Host(), password)},
		}
	}
	w.source("app", "org/app", func(o *sourcev1.OCIRepository) { o.Spec.SecretRef = &meta.LocalObjectReference{Name: "login"} })
	o := w.until("app", "failed for want of its Secret", failing(sourcev1.AuthenticationFailedReason))
	if !strings.Contains(show(o), "failed to get secret '"+w.namespace+"/login'") {
		t.Error(show(o))
	}
	if err := w.client.Create(t.Context(), secret("secret")); err != nil {
		t.Fatal(err)
	}
	w.until("app", "ready", ready)

	// What is stored for one identity is not given to another: this source
	// finds the bundle in the store and still has to prove that it may read it.
	w.source("stranger", "org/app", func(o *sourcev1.OCIRepository) {
		o.Spec.Reference = &sourcev1.OCIRepositoryRef{Digest: strings.SplitN(w.get("app").Status.Artifact.Revision, "@", 2)[1]}
	})
	o = w.until("stranger", "refused", failing(sourcev1.OCIPullFailedReason))
	if o.Status.Artifact != nil {
		t.Errorf("a source without credentials was given %s", o.Status.Artifact.Revision)
	}

	// Revoked credentials stop new versions and leave the old one served.
	if err := w.client.Update(t.Context(), secret("wrong")); err != nil {
		t.Fatal(err)
	}
	o = w.until("app", "refused", failing(sourcev1.ReadOperationFailedReason))
	w.download(o)
	if strings.Contains(show(o), "wrong") {
		t.Errorf("the status tells the password: %s", show(o))
	}
	if err := w.client.Update(t.Context(), secret("secret")); err != nil {
		t.Fatal(err)
	}
	w.until("app", "ready again", ready)
	w.event("app", corev1.EventTypeNormal, "Succeeded", "stored artifact with revision 'v1.0.0@")
}

func TestCertificates(t *testing.T) {
	w := newWorld(t, registrytest.TLS())
	w.push("org/app", "v: 1\n", "v1.0.0")
	w.source("insecure", "org/app", func(o *sourcev1.OCIRepository) { o.Spec.Insecure = true })
	w.until("insecure", "ready", ready)
	w.source("app", "org/app", func(o *sourcev1.OCIRepository) { o.Spec.CertSecretRef = &meta.LocalObjectReference{Name: "ca"} })
	w.until("app", "failed for want of its Secret", failing(sourcev1.AuthenticationFailedReason))
	ca := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "ca"}, Data: map[string][]byte{"ca.crt": []byte("no PEM")}}
	if err := w.client.Create(t.Context(), ca); err != nil {
		t.Fatal(err)
	}
	w.until("app", "failed for a bad CA", func(o *sourcev1.OCIRepository) bool {
		return failing(sourcev1.AuthenticationFailedReason)(o) && strings.Contains(show(o), "ca.crt holds no PEM certificate")
	})
	ca.Data["ca.crt"] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.registry.Server.Certificate().Raw})
	if err := w.client.Update(t.Context(), ca); err != nil {
		t.Fatal(err)
	}
	w.until("app", "ready", ready)
}

func TestRestartKeepsAndRestores(t *testing.T) {
	w := newWorld(t)
	w.push("org/app", "v: 1\n", "v1.0.0")
	w.source("app", "org/app")
	before := w.until("app", "ready", ready)

	t.Log("a restart with its files: nothing is downloaded again")
	w.stop()
	w.registry.Requests()
	w.start()
	served := func(o *sourcev1.OCIRepository) bool {
		return ready(o) && strings.Contains(o.Status.Artifact.URL, w.serving.Storage)
	}
	o := w.until("app", "served at the new address", served)
	if n := w.registry.Count("/blobs/"); n != 0 || o.Status.Artifact.LastUpdateTime != before.Status.Artifact.LastUpdateTime {
		t.Errorf("%d downloads; stored at %v, then %v", n, before.Status.Artifact.LastUpdateTime, o.Status.Artifact.LastUpdateTime)
	}

	t.Log("a restart without its files: the same artifact comes back")
	w.stop()
	w.storage = t.TempDir()
	w.start()
	o = w.until("app", "served at the new address", served)
	if o.Status.Artifact.Digest != before.Status.Artifact.Digest {
		t.Errorf("equal content has the digests %s and %s", before.Status.Artifact.Digest, o.Status.Artifact.Digest)
	}
	w.download(o)

	t.Log("a file changed behind our back is replaced")
	path := filepath.Join(w.storage, filepath.FromSlash(o.Status.Artifact.Path))
	if err := os.WriteFile(path, []byte("tampered"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.request("app")
	w.until("app", "looked at again", func(o *sourcev1.OCIRepository) bool { return ready(o) && o.Status.LastHandledReconcileAt != "" })
	if got := fmt.Sprintf("sha256:%x", sha256.Sum256(w.download(w.get("app")))); got != before.Status.Artifact.Digest {
		t.Errorf("serves %s", got)
	}
}

// A controller that ends between a download and the status that tells of it
// starts over and comes to the same end.
func TestKilledBetweenDownloadAndStatus(t *testing.T) {
	w := newWorld(t)
	p := w.push("org/app", "v: 1\n", "v1.0.0")
	downloaded := make(chan struct{})
	w.registry.Fault(registrytest.Only("/blobs/", func(rw http.ResponseWriter, r *http.Request) bool {
		_, _ = rw.Write(p.Layer.Content)
		close(downloaded)
		w.registry.Fault(nil)
		return true
	}))
	w.source("app", "org/app")
	<-downloaded
	w.stop()
	w.start()
	o := w.until("app", "ready", ready)
	w.download(o)
	leftovers, err := os.ReadDir(filepath.Join(w.storage, ".content", "partial"))
	if err != nil || len(leftovers) != 0 {
		t.Errorf("half-written files stay: %v, %v", leftovers, err)
	}
}

func TestAllowDowngradeIsFluxBehaviour(t *testing.T) {
	w := newWorld(t)
	w.stop()
	w.start(func(o *wire.Options) { o.AllowDowngrade = true })
	w.push("org/app", "v: 1\n", "v1.0.0")
	w.push("org/app", "v: 2\n", "v1.1.0")
	w.source("app", "org/app")
	w.until("app", "ready at v1.1.0", at("v1.1.0"))
	w.deleteTag("org/app", "v1.1.0")
	w.hint("org/app")
	w.until("app", "back at v1.0.0", at("v1.0.0"))
}

// chart media types and copies: what helm-controller consumes.
func TestHelmChartLayersAreCopied(t *testing.T) {
	w := newWorld(t)
	chart := []byte("a chart, byte for byte")
	w.upload("org/chart", packLayer(t, artifact.ChartMediaType, chart), "1.2.3_build.1", "1.2.2")
	w.source("chart", "org/chart", func(o *sourcev1.OCIRepository) {
		o.Spec.Reference = &sourcev1.OCIRepositoryRef{SemVer: "1.x"}
		o.Spec.LayerSelector = &sourcev1.OCILayerSelector{MediaType: artifact.ChartMediaType, Operation: sourcev1.OCILayerCopy}
	})
	o := w.until("chart", "ready at the build", at("1.2.3_build.1"))
	if !bytes.Equal(w.download(o), chart) {
		t.Error("the chart was changed on its way")
	}
}
