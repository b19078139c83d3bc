package cluster_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/cluster"
	"github.com/sluice-dev/sluice/internal/deliver"
	"github.com/sluice-dev/sluice/internal/labtest"
	"github.com/sluice-dev/sluice/internal/plan"
)

// wire is a way to the API server that can be cut.
type wire struct {
	t      testing.TB
	target string
	addr   string

	mu       sync.Mutex
	listener net.Listener
	open     map[net.Conn]struct{}
	dials    int
}

func newWire(t testing.TB, server string) *wire {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{t: t, target: u.Host, addr: "127.0.0.1:0", open: map[net.Conn]struct{}{}}
	w.mend()
	t.Cleanup(w.cut)
	return w
}

func (w *wire) mend() {
	w.t.Helper()
	l, err := net.Listen("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	w.listener, w.addr = l, l.Addr().String()
	w.mu.Unlock()
	go func() {
		for {
			here, err := l.Accept()
			if err != nil {
				return
			}
			there, err := net.Dial("tcp", w.target)
			if err != nil {
				_ = here.Close()
				continue
			}
			w.mu.Lock()
			w.dials++
			w.open[here], w.open[there] = struct{}{}, struct{}{}
			w.mu.Unlock()
			go func() { _, _ = io.Copy(here, there); _ = here.Close() }()
			go func() { _, _ = io.Copy(there, here); _ = there.Close() }()
		}
	}()
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.listener.Close()
	for c := range w.open {
		_ = c.Close()
	}
	clear(w.open)
}

// remote is an identity on the API server behind a wire.
func (w *world) remote(id string, wire *wire) cluster.Identity {
	return cluster.Identity{KubeConfig: kubeconfig(w, labtest.Config(w), "https://"+wire.addr), KubeConfigID: id}
}

func TestClusterThatDoesNotAnswer(t *testing.T) {
	w := enter(t)
	wire := newWire(t, labtest.Config(t).Host)
	id := w.remote("Secret/"+w.namespace+"/remote", wire)
	target := w.target(id)
	u := w.configMap("a", "1")
	w.deliver(target, plan.Rules{}, u)

	wire.cut()
	want := "the cluster of Secret/" + w.namespace + "/remote does not answer: connection refused"
	changed := w.configMap("a", "2")
	w.eventually("the outage to be noticed", func() bool {
		_, err := target.Observe(t.Context(), deliver.Ask{Owner: w.owner, Want: []*unstructured.Unstructured{changed}})
		var away *cluster.Unreachable
		return errors.As(err, &away) && err.Error() == want
	})
	// A hundred who want to know cost nothing, and nobody has to wait.
	began := time.Now()
	cluster.Each(100, 10, func(int) {
		_, err := target.Observe(t.Context(), deliver.Ask{Owner: w.owner, Want: []*unstructured.Unstructured{changed}})
		if err == nil || err.Error() != want {
			t.Errorf("during the outage: %v", err)
		}
	})
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("that took %s", took)
	}
	if _, err := target.Judge(t.Context(), w.owner, []deliver.Check{{ID: idOf("b", w), Version: "v1"}}, nil); err == nil || err.Error() != want {
		t.Errorf("judging: %v", err)
	}
	if _, err := target.Apply(t.Context(), plan.Step{ID: idOf("a", w), Action: plan.Update, Send: changed}); err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("applying: %v", err)
	}
	woken := w.woken.of(w.owner)
	wire.mend()
	w.eventually("the owner to be woken", func() bool { return w.woken.of(w.owner) > woken })
	if got := actions(w.deliver(target, plan.Rules{}, changed)); got != "ConfigMap update" {
		t.Error(got)
	}
	// The watch is back as well.
	woken = w.woken.of(w.owner)
	w.patch(u, `{"data":{"key":"drifted"}}`)
	w.eventually("drift to be seen", func() bool { return w.woken.of(w.owner) > woken })
}

// The second cluster of the lab is another world, with another index.
func TestOtherCluster(t *testing.T) {
	l := labtest.Lab(t)
	if len(l.Clusters) < 2 {
		t.Skip("the lab has one cluster")
	}
	config, err := clientcmd.BuildConfigFromFlags("", l.Clusters[1].Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	there, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := enter(t)
	ns := w.object("{apiVersion: v1, kind: Namespace, metadata: {name: NS}}")
	id := cluster.Identity{KubeConfig: kubeconfig(t, config, config.Host), KubeConfigID: "Secret/" + w.namespace + "/remote"}
	target := w.target(id)
	w.deliver(target, plan.Rules{}, ns)
	t.Cleanup(func() { _ = there.Delete(context.Background(), ns.DeepCopy()) })
	u := w.configMap("a", "1")
	w.deliver(target, plan.Rules{}, u)
	if w.live(u) != nil {
		t.Error("applied to our own cluster")
	}
	if err := there.Get(t.Context(), client.ObjectKeyFromObject(u), u.DeepCopy()); err != nil {
		t.Error(err)
	}
	if one(w, w.observe(w.target(cluster.Identity{}), u), u).Converged {
		t.Error("our own cluster is said to have it")
	}
	if err := there.Patch(t.Context(), u.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(`{"data":{"key":"2"}}`))); err != nil {
		t.Fatal(err)
	}
	w.eventually("the owner to be woken", func() bool { return w.woken.of(w.owner) > 0 })
	if got := w.woken.as(w.owner); !slices.Equal(got, []string{id.KubeConfigID}) {
		t.Errorf("told of %q", got)
	}
}

func TestClustersAreClosed(t *testing.T) {
	w := enter(t)
	wire := newWire(t, labtest.Config(t).Host)
	id := w.remote("Secret/a/b", wire)
	w.observe(w.target(id), w.configMap("a", "1"))
	rotated := id
	rotated.KubeConfig = append([]byte("# rotated\n"), id.KubeConfig...)
	w.observe(w.target(rotated), w.configMap("a", "1"))
	if got := w.clusters.Open(); got != 2 {
		t.Fatalf("%d clusters", got)
	}
	w.clusters.CloseUnused(time.Now().Add(time.Minute))
	if got := w.clusters.Open(); got != 2 {
		t.Error("what may still be in use is closed")
	}
	w.clusters.CloseUnused(time.Now().Add(2 * cluster.RotatedAfter))
	if w.clusters.Has(id) || !w.clusters.Has(rotated) {
		t.Error("want the replaced one closed, and only that")
	}
	w.clusters.CloseUnused(time.Now().Add(2 * cluster.IdleAfter))
	if got := w.clusters.Open(); got != 0 {
		t.Errorf("%d clusters are kept for nobody", got)
	}
	w.clusters.Close()
	if _, err := w.clusters.Target(t.Context(), id); err == nil {
		t.Error("opened after Close")
	}
}
