package lab

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// alive tells whether a recorded process still runs: the same pid, started at
// the same time.
func (p Process) alive() bool {
	return p.PID > 0 && p.Start != "" && startOf(p.PID) == p.Start
}

// stop ends a process: it is asked first and killed when patience ends.
func (p Process) stop(patience time.Duration) error {
	if !p.alive() {
		return nil
	}
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if !p.alive() {
			return nil
		}
	}
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	for p.alive() {
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

func (p Process) signal(s syscall.Signal) error {
	if err := syscall.Kill(p.PID, s); err != nil && !errors.Is(err, syscall.ESRCH) && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

func self() Process {
	pid := os.Getpid()
	return Process{Name: "supervisor", PID: pid, Start: startOf(pid)}
}
