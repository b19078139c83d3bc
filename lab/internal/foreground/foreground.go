// Package foreground runs one component in the foreground of its process.
//
// In: the component, and the directory that it owns. Out: one JSON line on
// stdout when it serves, everything else in DIR/log, and the error that ended
// it. It must never leave a component running without its owner: a signal or the
// end of the lifeline stops it, and a stop that takes too long kills it.
package foreground

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const stopWithin = 10 * time.Second

// Component serves until the context ends and returns when it has stopped
// cleanly. It calls Ready once when it serves.
type Component func(ctx context.Context, owner *Owner) error

// Options say where the component lives and who keeps it alive.
type Options struct {
	Dir      string
	Lifeline io.Reader // its end stops the component; nil: there is none
	Stdout   io.Writer
}

// Owner is what a component knows of the world that started it.
type Owner struct {
	// Dir is absolute and belongs to this process alone.
	Dir    string
	stdout io.Writer
	log    *logFile
	die    sync.Once
}

// Ready tells the owner that the component serves, and where.
func (o *Owner) Ready(where any) error {
	line, err := json.Marshal(where)
	if err != nil {
		return fmt.Errorf("encoding the ready line: %w", err)
	}
	if _, err := o.stdout.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("writing the ready line: %w", err)
	}
	return nil
}

// Die ends the process at once, with one readable line for the owner. It is for
// code that cannot return an error.
func (o *Owner) Die(reason string) {
	o.die.Do(func() {
		fmt.Fprintf(o.log.stderr, "sluice-lab: %s; see %s\n", reason, o.log.path)
		os.Exit(1)
	})
}

// Reported is an error of which the owner has been told already.
type Reported struct{ error }

// Run owns the process until the component has ended. From the moment that the
// log is open, nothing else must be written to stderr: goroutines of a component
// may outlive it by a moment, and what they log is for the log.
func Run(component Component, o Options) error {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return fmt.Errorf("finding the directory %s: %w", o.Dir, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("creating the directory: %w", err)
	}
	unlock, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return err
	}
	defer unlock()
	log, err := redirectStderr(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	owner := &Owner{Dir: dir, stdout: o.Stdout, log: log}
	// Before the component says that it serves: from then on signals are for us.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	go owner.stopOnSignal(signals, cancel)
	if o.Lifeline != nil {
		go func() {
			io.Copy(io.Discard, o.Lifeline)
			cancel()
		}()
	}
	context.AfterFunc(ctx, func() {
		time.AfterFunc(stopWithin, func() { owner.Die(fmt.Sprintf("did not stop within %s", stopWithin)) })
	})
	go log.keepBounded(ctx)
	err = component(ctx, owner)
	if err == nil || ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	fmt.Fprintf(log.stderr, "sluice-lab: %v (log: %s)\n", err, log.path)
	return Reported{err}
}

// stopOnSignal stops at the first signal; whoever sends a second one does not want to wait.
func (o *Owner) stopOnSignal(signals <-chan os.Signal, stop func()) {
	<-signals
	stop()
	<-signals
	o.Die("stopped by a second signal")
}

// lock makes the directory this process's own; it is released when the process ends.
func lock(path string) (func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("locking %s: another sluice-lab runs in this directory; stop it or choose another --dir", filepath.Dir(path))
		}
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}
