package lab_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/lab"
	"github.com/sluice-dev/sluice/internal/wire"
)

const patience = 2 * time.Minute

// bench is a lab of the test's own, used by the commands as a user would.
type bench struct {
	*testing.T
	sluice string
	dir    string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	bin := os.Getenv("SLUICE_BIN")
	if bin == "" {
		t.Fatal("this test runs the built programs: run `make test`, or `make build` and set SLUICE_BIN=bin (absolute)")
	}
	b := &bench{T: t, sluice: filepath.Join(bin, "sluice"), dir: t.TempDir()}
	t.Cleanup(func() {
		if out, err := exec.Command(b.sluice, "down", "--dir", b.dir).CombinedOutput(); err != nil {
			t.Errorf("down: %v\n%s", err, out)
		}
	})
	return b
}

func (b *bench) run(args ...string) string {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, b.sluice, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		b.Fatalf("sluice %s: %v\n%s%s", strings.Join(args, " "), err, out.String(), errs.String())
	}
	return out.String()
}

func (b *bench) up() { b.run("up", "--dir", b.dir, "--clusters", "only", "--detach") }

func (b *bench) open() lab.Dir {
	d, err := lab.Open(b.dir)
	if err != nil {
		b.Fatal(err)
	}
	return d
}

func (b *bench) state() lab.State {
	b.Helper()
	s, err := b.open().State()
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func (b *bench) lab() lab.Lab {
	b.Helper()
	l, err := b.open().Lab()
	if err != nil {
		b.Fatal(err)
	}
	return l
}

func (b *bench) pid(name string) int {
	b.Helper()
	for _, p := range b.state().Processes {
		if p.Name == name {
			return p.PID
		}
	}
	b.Fatalf("no process %s in %+v", name, b.state().Processes)
	return 0
}

func (b *bench) kill(pid int) {
	b.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) eventually(what string, reached func() bool) {
	b.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !reached() {
		select {
		case <-tick.C:
		case <-deadline:
			b.Fatalf("in time, it is not so that %s", what)
		}
	}
}

func (b *bench) healthy() bool {
	out, err := exec.Command(b.sluice, "status", "--dir", b.dir, "-o", "json").Output()
	var s struct{ Healthy bool }
	return err == nil && json.Unmarshal(out, &s) == nil && s.Healthy
}

func (b *bench) client() client.Client {
	b.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", b.lab().Clusters[0].Kubeconfig)
	if err != nil {
		b.Fatal(err)
	}
	c, err := client.New(config, client.Options{Scheme: wire.Scheme()})
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// follows waits until the source in the cluster is at a tag, and returns how
// long that took.
func (b *bench) follows(tag string) {
	b.Helper()
	c := b.client()
	b.eventually("the source is at "+tag, func() bool {
		o := &sourcev1.OCIRepository{}
		err := c.Get(b.Context(), client.ObjectKey{Namespace: lab.FluxNamespace, Name: "app"}, o)
		return err == nil && o.Status.Artifact != nil && strings.HasPrefix(o.Status.Artifact.Revision, tag+"@")
	})
}

func (b *bench) push(tag string) {
	b.Helper()
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "cm.yaml"), []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "+strings.ReplaceAll(tag, ".", "-")+"}\n"), 0o644); err != nil {
		b.Fatal(err)
	}
	out := b.run("push", "oci://"+b.lab().Registry+"/org/app:"+tag, "--path", dir, "--source", "test", "--revision", tag)
	if !strings.HasPrefix(out, b.lab().Registry+"/org/app@sha256:") {
		b.Errorf("push printed %q", out)
	}
}

// The life of a lab: up, used, hurt in every way, resumed, down.
func TestLifecycle(t *testing.T) {
	b := newBench(t)
	b.up()
	before := b.lab()
	if !b.healthy() {
		t.Fatal("ready, but not healthy")
	}
	b.up() // again: nothing to do
	if now := b.lab(); now.Registry != before.Registry || b.state().Restarts["registry"] != 0 {
		t.Errorf("a second up changed the lab: %+v", now)
	}

	t.Log("a push moves a source whose interval is five minutes")
	b.push("v1.0.0")
	o := &sourcev1.OCIRepository{
		ObjectMeta: metav1.ObjectMeta{Namespace: lab.FluxNamespace, Name: "app"},
		Spec: sourcev1.OCIRepositorySpec{
			URL: "oci://" + before.Registry + "/org/app", Interval: metav1.Duration{Duration: 5 * time.Minute},
			Reference: &sourcev1.OCIRepositoryRef{SemVer: ">=0.0.0"},
		},
	}
	if err := b.client().Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	b.follows("v1.0.0")
	b.push("v1.1.0")
	b.follows("v1.1.0")

	t.Log("whatever is killed is started again, with its data")
	for _, name := range []string{"controller-only", "registry", "cluster-only"} {
		pid := b.pid(name)
		b.kill(pid)
		b.eventually(name+" is back", func() bool { return b.pid(name) != pid && b.healthy() })
	}
	b.push("v1.2.0")
	b.follows("v1.2.0")

	t.Log("a killed supervisor leaves nothing, and up resumes at the same addresses")
	state := b.state()
	b.kill(state.Supervisor.PID)
	b.eventually("all processes are gone", func() bool {
		for _, p := range state.Processes {
			if syscall.Kill(p.PID, 0) == nil && running(p.PID) {
				return false
			}
		}
		return true
	})
	b.up()
	if now := b.lab(); now.Registry != before.Registry || now.Clusters[0] != before.Clusters[0] {
		t.Errorf("resumed as %+v, was %+v", now, before)
	}
	b.push("v1.3.0")
	b.follows("v1.3.0")

	t.Log("down leaves no process")
	state = b.state()
	b.run("down", "--dir", b.dir)
	for _, p := range append(state.Processes, state.Supervisor) {
		if running(p.PID) {
			t.Errorf("%s still runs", p.Name)
		}
	}
	b.run("down", "--dir", b.dir) // again: nothing to do
}

// running tells zombies, which only wait for their parent, from the living.
func running(pid int) bool {
	out, err := exec.Command("ps", "-o", "state=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && len(bytes.TrimSpace(out)) > 0 && out[0] != 'Z'
}

// A pid that the system has given to somebody else is not ours to end.
func TestForeignProcessesAreLeftAlone(t *testing.T) {
	other := exec.Command("sleep", "600")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = other.Process.Kill()
		_ = other.Wait()
	}()
	dir := t.TempDir()
	raw, err := json.Marshal(lab.State{Phase: lab.Ready, Processes: []lab.Process{{Name: "registry", PID: other.Process.Pid, Start: "1"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "state.json"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := lab.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := lab.TakeDown(d); n != 0 || err != nil {
		t.Errorf("took down %d processes, %v", n, err)
	}
	if !running(other.Process.Pid) {
		t.Error("a process that only has the pid of one of ours was ended")
	}
}
