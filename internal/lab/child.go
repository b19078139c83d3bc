package lab

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
	"time"
)

// command is how one process of the lab is started.
type command struct {
	name string
	path string
	args []string
	env  []string
	// ready waits until the process serves. It gets the process's first line
	// on stdout.
	ready func(ctx context.Context, line string) error
	// says whether the process prints a line when it serves.
	speaks bool
}

// child is a running process.
type child struct {
	Process
	cmd    *exec.Cmd
	line   chan string // first line on stdout
	exited chan struct{}
	err    error
	life   io.Closer // closing it tells the process that we are gone
}

// start runs a command. Its stdin is a pipe that we hold: when we go, however
// that happens, it closes, and the process ends itself.
func start(d Dir, c command) (*child, error) {
	log, err := os.OpenFile(d.LogFile(c.name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(c.path, c.args...)
	cmd.Env = append(os.Environ(), c.env...)
	cmd.Stderr = log
	// A group of its own: Ctrl-C at the terminal is for us, and we end the
	// others in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	life, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", filepath.Base(c.path), err)
	}
	run := &child{
		Process: Process{Name: c.name, PID: cmd.Process.Pid, Start: startOf(cmd.Process.Pid)},
		cmd:     cmd, line: make(chan string, 1), exited: make(chan struct{}), life: life,
	}
	go func() {
		lines := bufio.NewScanner(out)
		if lines.Scan() {
			run.line <- lines.Text()
		}
		_, _ = io.Copy(io.Discard, out)
		run.err = cmd.Wait()
		close(run.exited)
	}()
	return run, nil
}

// serves waits until the process is ready, has died or the time is over.
func (r *child) serves(ctx context.Context, d Dir, c command) error {
	line := ""
	if c.speaks {
		select {
		case line = <-r.line:
		case <-r.exited:
			return r.died(d)
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready in time; see %s", r.Name, d.LogFile(r.Name))
		}
	}
	if c.ready == nil {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-r.exited:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := c.ready(ctx, line)
	select {
	case <-r.exited:
		return r.died(d)
	default:
	}
	if err != nil {
		return fmt.Errorf("%s: %w; see %s", r.Name, err, d.LogFile(r.Name))
	}
	return nil
}

// died explains the end of a process by the last thing it said.
func (r *child) died(d Dir) error {
	said := "it said nothing"
	if raw, err := os.ReadFile(d.LogFile(r.Name)); err == nil {
		lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
		if last := lines[len(lines)-1]; last != "" {
			said = last
		}
	}
	how := "ended"
	if r.err != nil {
		how = r.err.Error()
	}
	return fmt.Errorf("%s died (%s): %s", r.Name, how, said)
}

// stop ends the process and waits for it.
func (r *child) stop(patience time.Duration) error {
	select {
	case <-r.exited:
		return nil // reaped: its pid may be somebody else's by now
	default:
	}
	err := r.signal(syscall.SIGTERM)
	if closed := r.life.Close(); !errors.Is(closed, os.ErrClosed) {
		err = errors.Join(err, closed)
	}
	select {
	case <-r.exited:
		return err
	case <-time.After(patience):
	}
	if err := r.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-r.exited
	return fmt.Errorf("%s did not stop within %s and was killed", r.Name, patience)
}
