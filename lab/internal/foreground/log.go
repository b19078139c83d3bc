package foreground

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const maxLog = 16 << 20

// logFile is where file descriptor 2 goes. Components log through four different
// libraries, and a panic through none: the descriptor catches them all.
type logFile struct {
	path   string
	stderr *os.File // the one that the owner reads
}

func redirectStderr(path string) (*logFile, error) {
	kept, err := unix.FcntlInt(2, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("keeping stderr: %w", err)
	}
	l := &logFile{path: path, stderr: os.NewFile(uintptr(kept), "stderr")}
	if err := l.rotate(); err != nil {
		l.stderr.Close()
		return nil, err
	}
	return l, nil
}

// rotate begins a new file and keeps the one before, which says why an earlier
// process ended.
func (l *logFile) rotate() error {
	if info, err := os.Stat(l.path); err == nil && info.Size() > 0 {
		if err := os.Rename(l.path, l.path+".1"); err != nil {
			return fmt.Errorf("rotating the log: %w", err)
		}
	}
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	defer f.Close()
	if err := unix.Dup2(int(f.Fd()), 2); err != nil {
		return fmt.Errorf("sending stderr to %s: %w", l.path, err)
	}
	return nil
}

func (l *logFile) keepBounded(ctx context.Context) {
	tick := time.NewTicker(15 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if info, err := os.Stat(l.path); err == nil && info.Size() > maxLog {
			if err := l.rotate(); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
	}
}
