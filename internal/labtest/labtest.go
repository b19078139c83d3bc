// Package labtest gives tests the lab that `make test` started: a real API
// server, and namespaces of their own on it.
//
// In: the environment variables SLUICE_LAB and SLUICE_BIN. Out: clients and
// namespaces. It is for tests only, and never starts a lab by itself.
package labtest

import (
	"context"
	"os"
	"testing"
	"time"

	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/lab"
	"github.com/sluice-dev/sluice/internal/wire"
)

// Patience bounds every wait of a test: long enough for a loaded machine, and
// never used up by a test that passes.
const Patience = 60 * time.Second

// Lab finds the running lab.
func Lab(t testing.TB) lab.Lab {
	t.Helper()
	path := os.Getenv("SLUICE_LAB")
	if path == "" {
		t.Fatal("this test needs the lab: run `make test`, or start one with `bin/sluice up --no-controllers --dir DIR --detach` and set SLUICE_LAB=DIR")
	}
	dir, err := lab.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	l, err := dir.Lab()
	if err != nil {
		t.Fatalf("SLUICE_LAB=%s: %v", path, err)
	}
	return l
}

// Config connects to the first cluster of the lab.
func Config(t testing.TB) *rest.Config {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", Lab(t).Clusters[0].Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	return config
}

// Client reads and writes without a cache.
func Client(t testing.TB) client.WithWatch {
	t.Helper()
	c, err := client.NewWithWatch(Config(t), client.Options{Scheme: wire.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Namespace makes a namespace that goes away with the test, together with the
// sources in it: their finalizers have nobody left to remove them.
func Namespace(t testing.TB, c client.Client) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	if err := c.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		var left sourcev1.OCIRepositoryList
		if err := c.List(ctx, &left, client.InNamespace(ns.Name)); err != nil {
			t.Error(err)
		}
		for i := range left.Items {
			o := &left.Items[i]
			o.Finalizers = nil
			if err := c.Update(ctx, o); client.IgnoreNotFound(err) != nil {
				t.Log("removing a finalizer: ", err)
			}
		}
		if err := client.IgnoreNotFound(c.Delete(ctx, ns)); err != nil {
			t.Error(err)
		}
	})
	return ns.Name
}
