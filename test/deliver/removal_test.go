package delivertest

import (
	"context"
	"testing"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/labtest"
)

// installed is an app that a Kustomization has delivered.
func installed(t *testing.T, change ...func(*kustomizev1.Kustomization)) *world {
	w := enter(t)
	w.run(labtest.Config(t))
	w.publish(v1, map[string]string{"app/a.yaml": configMap("a", "1"), "app/b.yaml": configMap("b", "1")})
	w.kustomization(app, app, change...)
	return w
}

func (w *world) deleted() {
	w.Helper()
	w.must(w.client.Delete(w.Context(), w.read(app)))
}

func (w *world) gone() {
	w.Helper()
	w.until(func() string {
		for _, k := range w.all() {
			return "still there: " + describe(&k)
		}
		return ""
	})
}

func (w *world) names() string {
	text := ""
	for _, o := range w.labelled("no.group") {
		text += o.GetName()
	}
	return text
}

// An object that does not go is named for as long as it is waited for.
func TestStuckObjectsAreNamed(t *testing.T) {
	t.Parallel()
	w := installed(t, func(k *kustomizev1.Kustomization) {
		k.Spec.DeletionPolicy = kustomizev1.DeletionPolicyWaitForTermination
		k.Spec.Timeout.Duration = 5 * time.Second
	})
	w.ready(v1)
	hold := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":["example.com/hold"]}}`))
	release := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
	held := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "b"}}
	w.must(w.client.Patch(w.Context(), held, hold))
	t.Cleanup(func() {
		if err := client.IgnoreNotFound(w.client.Patch(context.Background(), held, release)); err != nil {
			t.Error(err)
		}
	})
	w.deleted()
	w.until(func() string {
		if got := w.names(); got != "b" {
			return "left: " + got
		}
		return ""
	})
	if len(w.all()) == 0 {
		t.Error("did not wait for the object")
	}
	w.told(app, "Warning PruneFailed", "ConfigMap/"+w.namespace+"/b Resource scheduled for deletion; held by finalizer example.com/hold (set by ")
	w.gone()
}

// The identity that objects were applied with is gone: they stay, and that is
// said.
func TestTheIdentityIsGone(t *testing.T) {
	t.Parallel()
	w := enter(t)
	w.must(w.tenant("tenant"))
	w.run(labtest.Config(t))
	w.publish(v1, map[string]string{"app/a.yaml": configMap("a", "1")})
	w.kustomization(app, app, func(k *kustomizev1.Kustomization) { k.Spec.ServiceAccountName = "tenant" })
	w.ready(v1)
	w.must(w.client.Delete(w.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "tenant"}}))
	w.deleted()
	w.gone()
	w.told(app, "ConfigMap/"+w.namespace+"/a", "tenant")
	if got := w.names(); got != "a" {
		t.Errorf("left: %q", got)
	}
}

// Who suspends before deleting keeps the objects, also if a deletion is what
// ends the suspension.
func TestSuspendedDeletionKeeps(t *testing.T) {
	t.Parallel()
	w := installed(t)
	w.ready(v1)
	w.edit(app, func(k *kustomizev1.Kustomization) { k.Spec.Suspend = true })
	w.deleted()
	w.gone()
	if got := w.names(); got != "ab" {
		t.Errorf("left: %q", got)
	}
}

// A deletion in the middle of a roll-out that waits removes what it wrote.
func TestDeletedInTheMiddle(t *testing.T) {
	t.Parallel()
	w := enter(t)
	w.run(labtest.Config(t))
	w.publish(v1, map[string]string{"app/a.yaml": configMap("a", "1"), "app/web.yaml": deployment("web", "1", hangs)})
	w.kustomization(app, app)
	w.until(func() string { return fewer(len(w.labelled("no.group")), 2) })
	w.deleted()
	w.gone()
	w.until(func() string { return w.names() })
}
