package foreground

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain plays the component when a test runs this binary again.
func TestMain(m *testing.M) {
	dir := os.Getenv("FOREGROUND_DIR")
	if dir == "" {
		os.Exit(m.Run())
	}
	err := Run(func(ctx context.Context, owner *Owner) error {
		if os.Getenv("FOREGROUND_FAILS") != "" {
			return errors.New("opening the door: it is locked")
		}
		fmt.Fprintln(os.Stderr, "a line for the log")
		if err := owner.Ready(map[string]string{"at": owner.Dir}); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	}, Options{Dir: dir, Lifeline: os.Stdin, Stdout: os.Stdout})
	if err != nil {
		if !errors.As(err, &Reported{}) {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(0)
}

// child is a component in a process of its own.
type child struct {
	*exec.Cmd
	stdin  io.WriteCloser
	ready  string
	stderr strings.Builder
}

func begin(t *testing.T, dir string, env ...string) *child {
	t.Helper()
	c := &child{Cmd: exec.Command(os.Args[0])}
	c.Env = append(append(os.Environ(), "FOREGROUND_DIR="+dir), env...)
	c.Stderr = &c.stderr
	var err error
	if c.stdin, err = c.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill() })
	c.ready, _ = bufio.NewReader(stdout).ReadString('\n')
	return c
}

func (c *child) ends(t *testing.T, code int) {
	t.Helper()
	timer := time.AfterFunc(30*time.Second, func() { c.Process.Kill() })
	defer timer.Stop()
	c.Wait()
	if got := c.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d, want %d; stderr: %s", got, code, c.stderr.String())
	}
}

func TestStopsBySignalOrLifeline(t *testing.T) {
	for name, stop := range map[string]func(*child){
		"SIGTERM":  func(c *child) { c.Process.Signal(syscall.SIGTERM) },
		"SIGINT":   func(c *child) { c.Process.Signal(syscall.SIGINT) },
		"lifeline": func(c *child) { c.stdin.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c := begin(t, dir)
			if want := fmt.Sprintf("{\"at\":%q}\n", dir); c.ready != want {
				t.Errorf("ready line %q, want %q", c.ready, want)
			}
			stop(c)
			c.ends(t, 0)
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			if string(log) != "a line for the log\n" || c.stderr.Len() > 0 {
				t.Errorf("log %q, stderr %q", log, c.stderr.String())
			}
		})
	}
}

func TestFailureIsOneLine(t *testing.T) {
	dir := t.TempDir()
	c := begin(t, dir, "FOREGROUND_FAILS=1")
	c.ends(t, 1)
	want := fmt.Sprintf("sluice-lab: opening the door: it is locked (log: %s/log)\n", dir)
	if c.stderr.String() != want {
		t.Errorf("stderr %q, want %q", c.stderr.String(), want)
	}
}

func TestDirectoryHasOneOwner(t *testing.T) {
	dir := t.TempDir()
	first := begin(t, dir)
	second := begin(t, dir)
	second.ends(t, 1)
	if !strings.Contains(second.stderr.String(), "another sluice-lab runs in this directory") {
		t.Errorf("stderr %q", second.stderr.String())
	}
	first.Process.Kill() // even a killed owner gives it back
	first.ends(t, -1)
	third := begin(t, dir)
	if third.ready == "" {
		t.Fatalf("not ready: %s", third.stderr.String())
	}
	third.stdin.Close()
	third.ends(t, 0)
	if _, err := os.Stat(filepath.Join(dir, "log.1")); err != nil {
		t.Errorf("the log of the first owner: %v", err)
	}
}
