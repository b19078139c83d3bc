package fluxtest

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/lab"
	"github.com/sluice-dev/sluice/internal/labtest/artifacts"
)

const (
	patience  = time.Minute // of a loaded machine
	source    = "source"    // the GitRepository that a test has unless it needs more
	name      = "app"       // the Kustomization, likewise
	oftenRuns = 5 * time.Second
)

// world is the lab's first cluster and the namespace that a test owns there. Its
// name, id, is also what tests call their objects.
type world struct {
	*testing.T
	client    client.WithWatch
	id        string
	artifacts *artifacts.Server
	shared    *engine

	mu       sync.Mutex
	followed map[string]*history // by Kustomization
}

// enter starts a test.
func enter(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	if os.Getenv("SLUICE_LAB") == "" {
		t.Fatal("SLUICE_LAB does not name a running lab: run the tests with \"make test\", which starts one")
	}
	s, err := start()
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.engine.ended:
		t.Fatalf("the controller does not run:\n%s", s.engine.log.about())
	default:
	}
	first, err := cluster(0)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, artifacts: s.artifacts, shared: s.engine, client: connect(t, first), followed: map[string]*history{}}
	w.id = w.addNamespace(w.client, "")
	t.Cleanup(w.drain)
	return w
}

func connect(t *testing.T, c lab.Cluster) client.WithWatch {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, sourcev1.AddToScheme, kustomizev1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	connection, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return connection
}

// addNamespace makes a namespace that goes with the test; without a name, one
// is made up.
func (w *world) addNamespace(c client.Client, called string) string {
	w.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: called}}
	if called == "" {
		ns.GenerateName = "flux-test-"
	}
	w.must(c.Create(w.Context(), ns))
	w.Cleanup(func() {
		if err := client.IgnoreNotFound(c.Delete(context.Background(), ns)); err != nil {
			w.Error(err)
		}
	})
	return ns.Name
}

// drain deletes what a controller has a finalizer on while it runs; what it
// does not let go is let go without it.
func (w *world) drain() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var left kustomizev1.KustomizationList
	for ctx.Err() == nil {
		if err := w.client.List(ctx, &left, client.InNamespace(w.id)); err != nil || len(left.Items) == 0 {
			return
		}
		for i := range left.Items {
			if left.Items[i].DeletionTimestamp.IsZero() {
				_ = w.client.Delete(ctx, &left.Items[i]) // the next round sees what is left
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	for i := range left.Items {
		release := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
		_ = w.client.Patch(context.Background(), &left.Items[i], release) // it may be gone now
	}
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// files reads a txtar archive in which $ID is the test's id; more pairs may
// follow.
func (w *world) files(text string, pairs ...string) map[string]string {
	return artifacts.Files(strings.NewReplacer(append(pairs, "$ID", w.id)...).Replace(text))
}

// publish gives the source a revision.
func (w *world) publish(revision string, files map[string]string) {
	w.Helper()
	w.publishAs(artifacts.Source{Revision: revision, Files: files})
}

func (w *world) publishAs(src artifacts.Source) {
	w.Helper()
	src.Namespace = w.id
	if src.Name == "" {
		src.Name = source
	}
	_, err := w.artifacts.Publish(w.Context(), w.client, src)
	w.must(err)
}

// kustomization makes, follows and returns one that reads the source: every ten
// minutes, without pruning or waiting, into the test's namespace.
func (w *world) kustomization(called string, change ...func(*kustomizev1.Kustomization)) *kustomizev1.Kustomization {
	w.Helper()
	k := &kustomizev1.Kustomization{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.id, Name: called, Labels: map[string]string{shardLabel: w.shared.shard}},
		Spec: kustomizev1.KustomizationSpec{
			Interval: metav1.Duration{Duration: 10 * time.Minute}, RetryInterval: &metav1.Duration{Duration: oftenRuns},
			Path: "./", TargetNamespace: w.id,
			SourceRef: kustomizev1.CrossNamespaceSourceReference{Kind: "GitRepository", Name: source},
		},
	}
	for _, f := range change {
		f(k)
	}
	w.must(w.client.Create(w.Context(), k))
	w.follow(called)
	return k
}

// edit changes a Kustomization, whatever else changes it meanwhile.
func (w *world) edit(called string, change func(*kustomizev1.Kustomization)) {
	w.Helper()
	k := &kustomizev1.Kustomization{}
	w.get(k, called)
	before := k.DeepCopy()
	change(k)
	w.must(w.client.Patch(w.Context(), k, client.MergeFrom(before)))
}

// hand gives a Kustomization to another controller.
func (w *world) hand(called string, to *engine) {
	w.Helper()
	w.edit(called, func(k *kustomizev1.Kustomization) { metav1.SetMetaDataLabel(&k.ObjectMeta, shardLabel, to.shard) })
}

// request asks for a run, and returns the token that its status will have.
func (w *world) request(called string) string {
	w.Helper()
	token := time.Now().Format(time.RFC3339Nano)
	w.edit(called, func(k *kustomizev1.Kustomization) {
		metav1.SetMetaDataAnnotation(&k.ObjectMeta, meta.ReconcileRequestAnnotation, token)
	})
	return token
}

// remove deletes a Kustomization and waits until it is gone.
func (w *world) remove(called string) {
	w.Helper()
	w.must(w.client.Delete(w.Context(), &kustomizev1.Kustomization{ObjectMeta: metav1.ObjectMeta{Namespace: w.id, Name: called}}))
	w.gone(called)
}

// get reads an object of the test's namespace that has to be there.
func (w *world) get(o client.Object, called string) {
	w.Helper()
	w.must(w.client.Get(w.Context(), client.ObjectKey{Namespace: w.id, Name: called}, o))
}

// has tells whether an object is in the test's namespace.
func (w *world) has(o client.Object, called string) bool {
	w.Helper()
	err := w.client.Get(w.Context(), client.ObjectKey{Namespace: w.id, Name: called}, o)
	if err != nil && !apierrors.IsNotFound(err) {
		w.Fatal(err)
	}
	return err == nil
}

// create makes an object in the test's namespace, if it has one.
func (w *world) create(o client.Object) {
	w.Helper()
	w.must(w.client.Create(w.Context(), o))
}

// data is what a ConfigMap of the test's namespace has.
func (w *world) data(called string) map[string]string {
	w.Helper()
	var cm corev1.ConfigMap
	w.get(&cm, called)
	return cm.Data
}
