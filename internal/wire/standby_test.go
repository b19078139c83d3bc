package wire_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/internal/labtest"
	"github.com/sluice-dev/sluice/internal/wire"
)

// A second replica stands by: alive, not ready, serving nothing. When the
// first one goes it releases the lease, and the second takes over.
func TestAStandbyIsNotReady(t *testing.T) {
	c := labtest.Client(t)
	namespace := labtest.Namespace(t, c)
	run := func() (health string, leads <-chan wire.Serving, stop func()) {
		leading := make(chan wire.Serving, 1)
		health = free(t)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() {
			done <- wire.Controller(ctx, labtest.Config(t), wire.Options{
				Controllers: wire.Kinds, Namespace: namespace, Concurrent: 1,
				StoragePath: t.TempDir(), StorageAddr: "127.0.0.1:0", MaxArtifact: 1 << 20, MetricsAddr: "0", HealthAddr: health,
				LeaderElection: true, ReleaseOnCancel: true,
				LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryTime: 200 * time.Millisecond,
				MinRetry: time.Second, MaxRetry: time.Minute,
				Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Ready: func(s wire.Serving) { leading <- s },
			})
		}()
		stopped := false
		stop = func() {
			if !stopped {
				stopped = true
				cancel()
				if err := <-done; err != nil {
					t.Errorf("the controller ended with: %v", err)
				}
			}
		}
		t.Cleanup(stop)
		return health, leading, stop
	}
	await := func(leads <-chan wire.Serving, who string) {
		t.Helper()
		select {
		case <-leads:
		case <-time.After(labtest.Patience):
			t.Fatalf("%s does not lead in time", who)
		}
	}
	status := func(url string) int {
		resp, err := http.Get(url)
		if err != nil {
			return 0
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	eventually := func(url string, want int) {
		t.Helper()
		deadline := time.After(labtest.Patience)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for status(url) != want {
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatalf("%s does not answer %d in time", url, want)
			}
		}
	}

	first, leads, stop := run()
	await(leads, "the first")
	eventually("http://"+first+"/readyz", http.StatusOK)

	second, takesOver, _ := run()
	eventually("http://"+second+"/healthz", http.StatusOK)
	if got := status("http://" + second + "/readyz"); got == http.StatusOK {
		t.Error("the standby says that it is ready")
	}
	stop()
	await(takesOver, "the second")
	eventually("http://"+second+"/readyz", http.StatusOK)
}

// A process whose manager fails says so and ends: a port in use, a lost lease
// and missing CRDs must not leave it hanging.
func TestEndsWhenTheManagerFails(t *testing.T) {
	c := labtest.Client(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	done := make(chan error, 1)
	go func() {
		done <- wire.Controller(t.Context(), labtest.Config(t), wire.Options{
			Controllers: wire.Kinds, Namespace: labtest.Namespace(t, c), Concurrent: 1,
			StoragePath: t.TempDir(), StorageAddr: "127.0.0.1:0", MaxArtifact: 1 << 20, MetricsAddr: taken.Addr().String(), HealthAddr: "0",
			LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryTime: time.Second,
			MinRetry: time.Second, MaxRetry: time.Minute, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		})
	}()
	select {
	case err := <-done:
		if err == nil {
			t.Error("ended without an error")
		}
	case <-time.After(labtest.Patience):
		t.Error("does not end")
	}
}

func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
