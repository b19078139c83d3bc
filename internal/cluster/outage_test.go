package cluster

import (
	"cmp"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/sluice-dev/sluice/internal/deliver"
	"github.com/sluice-dev/sluice/internal/object"
	"github.com/sluice-dev/sluice/internal/plan"
)

// hanging is a server that never answers some paths.
func hanging(t *testing.T, hangs func(path string) bool) (*Clusters, *atomic.Int64) {
	var asked atomic.Int64
	stop := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if hangs(r.URL.Path) {
			select {
			case <-stop:
			case <-r.Context().Done():
			}
			return
		}
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/api/v1":
			_, _ = w.Write([]byte(`{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"v1","resources":[{"name":"configmaps","kind":"ConfigMap","namespaced":true},{"name":"secrets","kind":"Secret","namespaced":true}]}`))
		case "/version":
			_, _ = w.Write([]byte(`{}`))
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`))
		}
	}))
	clusters := NewClusters(Options{Base: &rest.Config{Host: server.URL, QPS: -1}, RequestTimeout: 200 * time.Millisecond, NoWatches: true})
	t.Cleanup(func() { clusters.Close(); close(stop); server.Close() })
	return clusters, &asked
}

func stale(clusters *Clusters, kind string) error {
	target, err := clusters.Target(context.Background(), Identity{})
	if err != nil {
		return err
	}
	check := deliver.Check{ID: object.ID{Kind: kind, Namespace: "ns", Name: "a"}, Version: "v1"}
	live, err := target.Observe(context.Background(), deliver.Ask{Owner: plan.Owner{Namespace: "ns", Name: "a"}, Stale: []deliver.Check{check}})
	return cmp.Or(err, live[check.ID].Failed)
}

// One request that takes too long is alone with that.
func TestSlowRequestIsNoOutage(t *testing.T) {
	clusters, _ := hanging(t, func(path string) bool { return strings.HasSuffix(path, "secrets/a") })
	if err := stale(clusters, "Secret"); err == nil || !strings.Contains(err.Error(), "no answer in time") {
		t.Errorf("the slow one: %v", err)
	}
	for range 20 {
		if err := stale(clusters, "ConfigMap"); err != nil {
			t.Fatalf("another: %v", err)
		}
	}
}

// A server that accepts connections and never answers is an outage: it costs one
// probe per back-off.
func TestHangingServerIsAnOutage(t *testing.T) {
	clusters, asked := hanging(t, func(string) bool { return true })
	deadline := time.Now().Add(30 * time.Second)
	for {
		began := time.Now()
		if err := stale(clusters, "Secret"); err == nil || err.Error() != "the cluster does not answer: no answer in time" {
			t.Fatalf("%v", err)
		}
		if time.Since(began) < 50*time.Millisecond {
			break // failed at once
		}
		if time.Now().After(deadline) {
			t.Fatal("every request waits for itself")
		}
	}
	before := asked.Load()
	for range 100 {
		if err := stale(clusters, "Secret"); err == nil {
			t.Fatal("answered")
		}
	}
	if made := asked.Load() - before; made > 1 {
		t.Errorf("a hundred asks made %d requests", made)
	}
}
