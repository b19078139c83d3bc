package controller_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/archive"
	"github.com/sluice-dev/sluice/internal/artifact"
	"github.com/sluice-dev/sluice/internal/labtest"
	"github.com/sluice-dev/sluice/internal/publish"
	"github.com/sluice-dev/sluice/internal/source/oci"
	"github.com/sluice-dev/sluice/internal/source/oci/registrytest"
	"github.com/sluice-dev/sluice/internal/wire"
)

// world is a namespace on the lab, a registry, and a controller between them.
type world struct {
	*testing.T
	client    client.WithWatch
	namespace string
	registry  *registrytest.Registry
	storage   string
	serving   wire.Serving
	stop      func()
}

const hookToken = "s3cret-hook"

func newWorld(t *testing.T, registry ...registrytest.Option) *world {
	t.Helper()
	t.Parallel()
	c := labtest.Client(t)
	w := &world{T: t, client: c, namespace: labtest.Namespace(t, c), registry: registrytest.New(t, registry...), storage: t.TempDir()}
	w.start()
	return w
}

// start runs a controller of the product in this process, for this namespace
// only, until stop or the end of the test.
func (w *world) start(change ...func(*wire.Options)) {
	w.Helper()
	ready := make(chan wire.Serving, 1)
	o := wire.Options{
		Controllers: wire.Kinds, Namespace: w.namespace, Concurrent: 4,
		StoragePath: w.storage, StorageAddr: "127.0.0.1:0", RetentionTTL: time.Minute, RetentionRecords: 2,
		MaxArtifact: 10 << 20, MetricsAddr: "0", HealthAddr: "0", HookAddr: "127.0.0.1:0", HookToken: hookToken,
		LeaseDuration: 35 * time.Second, RenewDeadline: 30 * time.Second, RetryTime: 5 * time.Second,
		JitterPercent: 5, MinRetry: 100 * time.Millisecond, MaxRetry: time.Second,
		Version: "test", Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Ready: func(s wire.Serving) { ready <- s },
	}
	for _, f := range change {
		f(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- wire.Controller(ctx, labtest.Config(w.T), o) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.Errorf("the controller ended with: %v", err)
		}
	})
	w.Cleanup(w.stop)
	select {
	case w.serving = <-ready:
	case err := <-done:
		w.Fatalf("the controller did not start: %v", err)
	case <-time.After(labtest.Patience):
		w.Fatal("the controller is not ready in time")
	}
}

// push publishes content under tags. Revision and creation make digests differ.
func (w *world) push(repo, content string, tags ...string) publish.Package {
	w.Helper()
	return w.pushAt(repo, content, time.Unix(1000, 0), tags...)
}

func (w *world) pushAt(repo, content string, created time.Time, tags ...string) publish.Package {
	w.Helper()
	tree, err := archive.NewTree([]archive.File{
		{Path: "base/kustomization.yaml", Mode: 0o644, Data: []byte("resources: [cm.yaml]\n")},
		{Path: "base/cm.yaml", Mode: 0o644, Data: []byte(content)},
		{Path: "notes/readme.md", Mode: 0o644, Data: []byte("read me\n")},
	})
	if err != nil {
		w.Fatal(err)
	}
	p, err := publish.Pack(tree, publish.About{Source: "https://example.com/app", Revision: tags[0] + "@sha1:1", Created: created})
	if err != nil {
		w.Fatal(err)
	}
	w.upload(repo, p, tags...)
	return p
}

func (w *world) upload(repo string, p publish.Package, tags ...string) {
	w.Helper()
	login, err := oci.UserPassword("ana:secret")
	if err != nil {
		w.Fatal(err)
	}
	c, err := oci.NewRegistries(oci.Options{}).Client(oci.Access{Repository: w.registry.Repository(repo), Login: login, Insecure: true})
	if err != nil {
		w.Fatal(err)
	}
	if _, err := c.Push(w.Context(), p, tags); err != nil {
		w.Fatal(err)
	}
}

// source creates an OCIRepository; its interval is long, so that whatever
// moves it is not its clock.
func (w *world) source(name, repo string, change ...func(*sourcev1.OCIRepository)) *sourcev1.OCIRepository {
	w.Helper()
	o := &sourcev1.OCIRepository{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name},
		Spec: sourcev1.OCIRepositorySpec{
			URL: w.registry.Repository(repo).URL(), Interval: metav1.Duration{Duration: time.Hour},
			Reference: &sourcev1.OCIRepositoryRef{SemVer: ">=0.0.0"},
		},
	}
	for _, f := range change {
		f(o)
	}
	if err := w.client.Create(w.Context(), o); err != nil {
		w.Fatal(err)
	}
	return o
}

// edit changes an object whatever else changes it meanwhile.
func (w *world) edit(name string, change func(*sourcev1.OCIRepository)) *sourcev1.OCIRepository {
	w.Helper()
	o := w.get(name)
	before := o.DeepCopy()
	change(o)
	if err := w.client.Patch(w.Context(), o, client.MergeFrom(before)); err != nil {
		w.Fatal(err)
	}
	return o
}

func (w *world) get(name string) *sourcev1.OCIRepository {
	w.Helper()
	o := &sourcev1.OCIRepository{}
	if err := w.client.Get(w.Context(), client.ObjectKey{Namespace: w.namespace, Name: name}, o); err != nil {
		w.Fatal(err)
	}
	return o
}

// until waits on a watch for a state of an object.
func (w *world) until(name, what string, reached func(*sourcev1.OCIRepository) bool) *sourcev1.OCIRepository {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), labtest.Patience)
	defer cancel()
	list := &sourcev1.OCIRepositoryList{}
	changes, err := w.client.Watch(ctx, list, client.InNamespace(w.namespace), client.MatchingFields{"metadata.name": name})
	if err != nil {
		w.Fatal(err)
	}
	defer changes.Stop()
	var last *sourcev1.OCIRepository
	for change := range changes.ResultChan() {
		o, ok := change.Object.(*sourcev1.OCIRepository)
		if !ok {
			continue
		}
		if last = o; reached(o) {
			return o
		}
	}
	w.Fatalf("%s is not %s in time; it is %s", name, what, show(last))
	return nil
}

func show(o *sourcev1.OCIRepository) string {
	if o == nil {
		return "not seen"
	}
	text := fmt.Sprintf("generation %d, observed %d", o.Generation, o.Status.ObservedGeneration)
	for _, c := range o.Status.Conditions {
		text += fmt.Sprintf("\n  %s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message)
	}
	return text
}

func ready(o *sourcev1.OCIRepository) bool {
	return o.Status.ObservedGeneration == o.Generation && apimeta.IsStatusConditionTrue(o.Status.Conditions, meta.ReadyCondition)
}

// at tells whether a source is ready at a tag.
func at(tag string) func(*sourcev1.OCIRepository) bool {
	return func(o *sourcev1.OCIRepository) bool {
		return ready(o) && o.Status.Artifact != nil && strings.HasPrefix(o.Status.Artifact.Revision, tag+"@")
	}
}

// failing tells whether a source failed for a reason, in the way that Flux's
// tests and tools recognise.
func failing(reason string) func(*sourcev1.OCIRepository) bool {
	return func(o *sourcev1.OCIRepository) bool {
		r := apimeta.FindStatusCondition(o.Status.Conditions, meta.ReadyCondition)
		again := apimeta.FindStatusCondition(o.Status.Conditions, meta.ReconcilingCondition)
		return r != nil && r.Status == metav1.ConditionFalse && r.Reason == reason && r.ObservedGeneration == o.Generation &&
			again != nil && again.Status == metav1.ConditionTrue && again.Reason == meta.ProgressingWithRetryReason
	}
}

func stalled(reason, text string) func(*sourcev1.OCIRepository) bool {
	return func(o *sourcev1.OCIRepository) bool {
		s := apimeta.FindStatusCondition(o.Status.Conditions, meta.StalledCondition)
		return s != nil && s.Status == metav1.ConditionTrue && s.Reason == reason && strings.Contains(s.Message, text) &&
			o.Status.ObservedGeneration == o.Generation && !apimeta.IsStatusConditionTrue(o.Status.Conditions, meta.ReadyCondition) &&
			apimeta.FindStatusCondition(o.Status.Conditions, meta.ReconcilingCondition) == nil
	}
}

// event waits for a Kubernetes Event about an object.
func (w *world) event(name, kind, reason, text string) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), labtest.Patience)
	defer cancel()
	changes, err := w.client.Watch(ctx, &corev1.EventList{}, client.InNamespace(w.namespace))
	if err != nil {
		w.Fatal(err)
	}
	defer changes.Stop()
	var seen []string
	for change := range changes.ResultChan() {
		e, ok := change.Object.(*corev1.Event)
		if !ok || e.InvolvedObject.Name != name {
			continue
		}
		if e.Type == kind && e.Reason == reason && strings.Contains(e.Message, text) {
			return
		}
		seen = append(seen, fmt.Sprintf("%s %s: %s", e.Type, e.Reason, e.Message))
	}
	w.Fatalf("no event %s %s with %q about %s; there were\n%s", kind, reason, text, name, strings.Join(seen, "\n"))
}

// hint tells the controller what a registry would: something was pushed.
func (w *world) hint(repo string) {
	w.Helper()
	body := fmt.Sprintf(`{"events":[{"action":"push","target":{"repository":%q}}]}`, repo)
	req, err := http.NewRequestWithContext(w.Context(), http.MethodPost, "http://"+w.serving.Hook+"/hook", strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+hookToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		w.Fatalf("the hook answered %s", resp.Status)
	}
}

func (w *world) request(name string) string {
	w.Helper()
	value := time.Now().Format(time.RFC3339Nano)
	w.edit(name, func(o *sourcev1.OCIRepository) {
		o.Annotations = map[string]string{meta.ReconcileRequestAnnotation: value}
	})
	return value
}

// download reads an artifact as a consumer does, by its URL.
func (w *world) download(o *sourcev1.OCIRepository) []byte {
	w.Helper()
	resp, err := http.Get(o.Status.Artifact.URL)
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		w.Fatalf("%s answered %s, %v", o.Status.Artifact.URL, resp.Status, err)
	}
	return body
}

func (w *world) files(archived []byte) []string {
	w.Helper()
	tree, err := archive.Read(bytes.NewReader(archived), archive.DefaultLimits)
	if err != nil {
		w.Fatal(err)
	}
	return tree.Files()
}

// eventually polls for what no watch can see.
func (w *world) eventually(what string, reached func() bool) {
	w.Helper()
	deadline := time.After(labtest.Patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !reached() {
		select {
		case <-tick.C:
		case <-deadline:
			w.Fatalf("in time, it is not so that %s", what)
		}
	}
}

func (w *world) deleteTag(repo, tag string) {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), http.MethodDelete, w.registry.Server.URL+"/v2/"+repo+"/manifests/"+tag, nil)
	if err != nil {
		w.Fatal(err)
	}
	resp, err := w.registry.Server.Client().Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		w.Fatalf("deleting %s:%s: %s", repo, tag, resp.Status)
	}
}

// packLayer makes a package around any bytes.
func packLayer(t testing.TB, mediaType string, content []byte) publish.Package {
	t.Helper()
	blob := func(mediaType string, content []byte) publish.Blob {
		return publish.Blob{
			Descriptor: ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))},
			Content:    content,
		}
	}
	p := publish.Package{Layer: blob(mediaType, content), Config: blob(artifact.ConfigMediaType, []byte("{}"))}
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: p.Config.Descriptor, Layers: []ocispec.Descriptor{p.Layer.Descriptor},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Manifest = blob(ocispec.MediaTypeImageManifest, manifest)
	return p
}

// packTar packs entries, however unsafe.
func packTar(t testing.TB, entries ...tar.Header) []byte {
	t.Helper()
	var buf bytes.Buffer
	gz := gzip.NewWriter(&buf)
	tw := tar.NewWriter(gz)
	for _, h := range entries {
		if err := tw.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write(make([]byte, h.Size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}
