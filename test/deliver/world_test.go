package delivertest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/labtest"
	"github.com/sluice-dev/sluice/internal/labtest/apiproxy"
	"github.com/sluice-dev/sluice/internal/labtest/artifacts"
)

const source = "source" // the GitRepository of a test

// world is a namespace that a test owns on the lab's first cluster.
type world struct {
	*testing.T
	client    client.WithWatch // past every proxy
	namespace string
}

// enter makes a world. What is left in it goes with the test.
func enter(t *testing.T) *world {
	t.Helper()
	c := labtest.Client(t)
	w := &world{T: t, client: c, namespace: labtest.Namespace(t, c)}
	t.Cleanup(w.release)
	return w
}

// release lets go what no controller is left to let go.
func (w *world) release() {
	ctx := context.Background()
	var left kustomizev1.KustomizationList
	if err := w.client.List(ctx, &left, client.InNamespace(w.namespace)); err != nil {
		w.Error(err)
	}
	for i := range left.Items {
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
		if err := w.client.Patch(ctx, &left.Items[i], patch); client.IgnoreNotFound(err) != nil {
			w.Error(err)
		}
	}
}

// proxy makes a proxy of the lab's first cluster, for one controller.
func (w *world) proxy() *apiproxy.Proxy {
	w.Helper()
	return apiproxy.New(w, labtest.Config(w))
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// publish gives the source a revision.
func (w *world) publish(revision string, files map[string]string) {
	w.Helper()
	src := artifacts.Source{Namespace: w.namespace, Name: source, Revision: revision, Files: files}
	_, err := served().Publish(w.Context(), w.client, src)
	w.must(err)
}

// text reads a txtar archive in which $NS is the test's namespace; more pairs
// may follow.
func (w *world) text(txt string, pairs ...string) map[string]string {
	return artifacts.Files(strings.NewReplacer(append(pairs, "$NS", w.namespace)...).Replace(txt))
}

// kustomization makes one that reads a directory of the source, prunes and
// waits.
func (w *world) kustomization(name, path string, change ...func(*kustomizev1.Kustomization)) *kustomizev1.Kustomization {
	w.Helper()
	k := &kustomizev1.Kustomization{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name},
		Spec: kustomizev1.KustomizationSpec{
			Interval: metav1.Duration{Duration: time.Hour}, RetryInterval: &metav1.Duration{Duration: time.Second},
			Timeout: &metav1.Duration{Duration: time.Minute},
			Path:    "./" + path, TargetNamespace: w.namespace, Prune: true, Wait: true,
			SourceRef: kustomizev1.CrossNamespaceSourceReference{Kind: "GitRepository", Name: source},
		},
	}
	for _, f := range change {
		f(k)
	}
	w.must(w.client.Create(w.Context(), k))
	return k
}

// edit changes a Kustomization, whatever else changes it meanwhile.
func (w *world) edit(name string, change func(*kustomizev1.Kustomization)) {
	w.Helper()
	k := w.read(name)
	before := k.DeepCopy()
	change(k)
	w.must(w.client.Patch(w.Context(), k, client.MergeFrom(before)))
}

// request asks for a run of every Kustomization and returns the token.
func (w *world) request() string {
	w.Helper()
	token := time.Now().Format(time.RFC3339Nano)
	for _, k := range w.all() {
		w.edit(k.Name, func(k *kustomizev1.Kustomization) {
			metav1.SetMetaDataAnnotation(&k.ObjectMeta, meta.ReconcileRequestAnnotation, token)
		})
	}
	return token
}

// requested asks for a run of every Kustomization and waits for it.
func (w *world) requested() {
	w.Helper()
	token := w.request()
	w.until(func() string {
		for _, k := range w.all() {
			if k.Status.LastHandledReconcileAt != token || !isReady(&k) {
				return fmt.Sprintf("%s has not run again: %s", k.Name, describe(&k))
			}
		}
		return ""
	})
}

func (w *world) read(name string) *kustomizev1.Kustomization {
	w.Helper()
	k := &kustomizev1.Kustomization{}
	w.must(w.client.Get(w.Context(), client.ObjectKey{Namespace: w.namespace, Name: name}, k))
	return k
}

// all lists the Kustomizations, by name.
func (w *world) all() []kustomizev1.Kustomization {
	w.Helper()
	var list kustomizev1.KustomizationList
	w.must(w.client.List(w.Context(), &list, client.InNamespace(w.namespace)))
	return list.Items
}
