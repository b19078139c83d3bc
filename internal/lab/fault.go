package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// Kill ends a process of a running lab without a warning and waits until it is
// gone. The supervisor starts it again.
func Kill(d Dir, name string) error {
	state, err := d.State()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(state.Processes, func(p Process) bool { return p.Name == name && p.alive() })
	if i < 0 {
		return fmt.Errorf("killing %s: no such process runs", name)
	}
	if err := state.Processes[i].signal(syscall.SIGKILL); err != nil {
		return fmt.Errorf("killing %s: %w", name, err)
	}
	for state.Processes[i].alive() {
		time.Sleep(5 * time.Millisecond)
	}
	return nil
}

// Hold kills a process of a running lab and keeps it down until Release, or the
// next start of the lab.
func Hold(d Dir, name string) error {
	if err := os.MkdirAll(filepath.Dir(d.held(name)), 0o750); err != nil {
		return err
	}
	if err := os.WriteFile(d.held(name), nil, 0o600); err != nil {
		return err
	}
	return Kill(d, name)
}

// Release lets the supervisor start a process again.
func Release(d Dir, name string) error {
	if err := os.Remove(d.held(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// held is the file that keeps a process down.
func (d Dir) held(name string) string { return d.path("held", name) }

func (d Dir) holds(name string) bool {
	_, err := os.Stat(d.held(name))
	return err == nil
}
