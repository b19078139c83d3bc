package fluxtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/sluice-dev/sluice/internal/cli"
	"github.com/sluice-dev/sluice/internal/lab"
)

const shardLabel = "sharding.fluxcd.io/key"

// engine is a running controller. It reconciles the Kustomizations of one
// shard, so that several can run on one cluster.
type engine struct {
	shard string
	log   *tail
	stop  func()
	ended chan struct{}
}

// commonFlags mean the same to Sluice and to Flux. They are those of Flux's own
// test suite.
func commonFlags(shard string) []string {
	return []string{
		"--watch-label-selector=" + shardLabel + "=" + shard,
		"--metrics-addr=0", "--health-addr=0", "--requeue-dependency=2s",
		"--override-manager=" + overridden,
		"--interval-jitter-percentage=0",
	}
}

// overridden is a field manager whose changes are taken back.
const overridden = "node-fetch"

// isFlux tells whether the tests run against Flux's own controller. Where Sluice
// differs on purpose, a test asks each for its own.
func isFlux() bool { return os.Getenv("SLUICE_TEST_CONTROLLER") != "" }

// gates are feature gates of Flux for an engine.
func gates(names ...string) string { return "--feature-gates=" + strings.Join(names, ",") }

// supersedes is the gate for what Sluice does anyway.
const supersedes = "CancelHealthCheckOnNewRevision=true"

// startEngine starts a controller; flags come after those that all have.
func startEngine(flags ...string) (*engine, error) {
	c, err := cluster(0)
	if err != nil {
		return nil, err
	}
	e := &engine{shard: "flux-test-" + strings.ToLower(rand.Text()[:8]), log: &tail{}, ended: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	e.stop = func() {
		cancel()
		<-e.ended
	}
	args := append(commonFlags(e.shard), flags...)
	if len(flags) == 0 {
		args = append(args, gates(supersedes))
	}
	if isFlux() {
		return e, e.program(ctx, c, args)
	}
	go e.inProcess(ctx, c, args)
	return e, nil
}

func (e *engine) inProcess(ctx context.Context, c lab.Cluster, args []string) {
	defer close(e.ended)
	dir, err := os.MkdirTemp("", "sluice-flux-test")
	if err != nil {
		fmt.Fprintln(e.log, err)
		return
	}
	defer os.RemoveAll(dir)
	args = append([]string{
		"controller", "--controllers=kustomize", "--kubeconfig=" + c.Kubeconfig, "--kube-api-qps=-1",
		"--storage-path=" + dir, "--storage-addr=127.0.0.1:0", "--log-encoding=console",
	}, args...)
	code := cli.Main(ctx, cli.IO{
		Args: args, In: strings.NewReader(""), Out: e.log, Err: e.log, Version: "test",
		Getenv: func(name string) string {
			if name == "RUNTIME_NAMESPACE" {
				return "default"
			}
			return ""
		},
	})
	if ctx.Err() == nil {
		fmt.Fprintf(e.log, "the controller ended by itself with code %d\n", code)
	}
}

func (e *engine) program(ctx context.Context, c lab.Cluster, args []string) error {
	// Flux's controller empties its directory of temporary files when it starts.
	dir, err := os.MkdirTemp("", "sluice-flux-test")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, os.Getenv("SLUICE_TEST_CONTROLLER"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig, "RUNTIME_NAMESPACE=default", "TMPDIR="+dir)
	cmd.Stdout, cmd.Stderr = e.log, e.log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting SLUICE_TEST_CONTROLLER: %w", err)
	}
	go func() {
		defer close(e.ended)
		defer os.RemoveAll(dir)
		fmt.Fprintln(e.log, "the controller ended: ", cmd.Wait())
	}()
	return nil
}

// engine starts a controller that ends with the test.
func (w *world) engine(flags ...string) *engine {
	w.Helper()
	e, err := startEngine(flags...)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		select {
		case <-e.ended:
			w.Errorf("the controller of %s ended by itself:\n%s", w.Name(), e.log.about())
		default:
		}
		w.drain() // a controller outlives the objects it has a finalizer on
		e.stop()
	})
	return e
}

// cluster is the n-th one of the lab.
func cluster(n int) (lab.Cluster, error) {
	dir, err := lab.Open(os.Getenv("SLUICE_LAB"))
	if err != nil {
		return lab.Cluster{}, err
	}
	l, err := dir.Lab()
	if err != nil {
		return lab.Cluster{}, err
	}
	if n >= len(l.Clusters) {
		return lab.Cluster{}, fmt.Errorf("the lab has %d clusters, cluster %d is asked for", len(l.Clusters), n)
	}
	return l.Clusters[n], nil
}

// tail keeps the end of what a controller says, for tests that fail.
type tail struct {
	mu   sync.Mutex
	text bytes.Buffer
}

var _ io.Writer = (*tail)(nil)

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(b)
}

// about gives the last lines that name an object, or the very last ones.
func (t *tail) about(words ...string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var found []string
	lines := strings.Split(strings.TrimSpace(t.text.String()), "\n")
	for _, line := range lines {
		if containsAll(line, words) {
			found = append(found, line)
		}
	}
	if len(found) == 0 {
		found = lines
	}
	return strings.Join(found[max(0, len(found)-10):], "\n")
}

func containsAll(text string, words []string) bool {
	for _, word := range words {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

func TestTailFindsLines(t *testing.T) {
	log := &tail{}
	fmt.Fprint(log, "a b\nb c\nlast\n")
	if got := log.about("b", "c"); got != "b c" {
		t.Errorf("got %q", got)
	}
	if got := log.about("nothing"); !strings.HasSuffix(got, "last") {
		t.Errorf("got %q", got)
	}
}
