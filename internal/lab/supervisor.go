package lab

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Options of a lab.
type Options struct {
	Dir      Dir
	Clusters []string
	// Controllers starts a Sluice controller per cluster.
	Controllers bool
	// Sluice and Lab are the paths of the two binaries.
	Sluice, Lab string
	// Timeout bounds the start.
	Timeout time.Duration
	// Progress is told each step.
	Progress func(ProgressEntry)
}

// ErrRunning says that a supervisor works on the directory already.
var ErrRunning = errors.New("the lab is running already")

// stopPatience is what a process of the lab gets to end by itself.
const stopPatience = 10 * time.Second

// supervisor owns the processes of one lab while it runs.
type supervisor struct {
	Options
	began time.Time
	died  chan died
	held  *os.File // the lock on the directory

	mu       sync.Mutex
	state    State
	children map[string]*child
	commands map[string]command
	lab      Lab
}

type died struct {
	name string
	err  error
}

// Up starts a lab and supervises it until the context ends; then it stops
// everything. ready is called once all serve.
func Up(ctx context.Context, o Options, ready func(Lab)) error {
	s := &supervisor{
		Options: o, began: time.Now(), died: make(chan died, 16),
		children: map[string]*child{}, commands: map[string]command{},
	}
	if err := s.claim(); err != nil {
		return err
	}
	err := s.start(ctx)
	if err == nil && ctx.Err() == nil {
		s.phase(Ready, "")
		ready(s.lab)
		s.supervise(ctx)
	}
	stopErr := s.stop()
	if err != nil && ctx.Err() == nil {
		s.phase(Failed, err.Error())
		return err
	}
	s.phase(Down, "")
	return stopErr
}

// claim makes the directory ours and ends what a killed predecessor left.
func (s *supervisor) claim() error {
	for _, dir := range []string{"logs", "clusters", "controllers", "registry"} {
		if err := os.MkdirAll(s.Dir.path(dir), 0o750); err != nil {
			return fmt.Errorf("making the lab's directory: %w", err)
		}
	}
	before, err := s.Dir.State()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.lock(); err != nil || before.Supervisor.alive() {
		return ErrRunning
	}
	if err := errors.Join(reap(before), os.RemoveAll(s.Dir.path("held"))); err != nil {
		return err
	}
	s.state = State{
		Phase: Starting, Supervisor: self(), Clusters: s.Clusters, Controllers: s.Controllers,
		Ports: before.Ports, HookToken: before.HookToken, Restarts: map[string]int{},
	}
	if s.state.HookToken == "" {
		s.state.HookToken = rand.Text()
	}
	if err := s.takePorts(); err != nil {
		return err
	}
	return errors.Join(s.Dir.remove("lab.json"), s.save())
}

// lock makes sure that of two supervisors that start at the same moment one
// goes on. The system gives the lock back when the process ends, however.
func (s *supervisor) lock() error {
	f, err := os.OpenFile(s.Dir.path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return err
	}
	s.held = f
	return nil
}

// reap ends the processes of a state whose supervisor is gone.
func reap(left State) error {
	var wg sync.WaitGroup
	errs := make([]error, len(left.Processes))
	for i, p := range left.Processes {
		wg.Go(func() { errs[i] = p.stop(stopPatience) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("ending what is left of the lab before: %w", err)
	}
	return nil
}

// start brings everything up: registry and clusters side by side, each
// cluster's controller as soon as its API serves.
func (s *supervisor) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.Timeout, fmt.Errorf("not ready within %s", s.Timeout))
	defer cancel()
	s.lab.Clusters = make([]Cluster, len(s.Clusters))
	errs := make([]error, len(s.Clusters)+1)
	var wg sync.WaitGroup
	wg.Go(func() { errs[len(s.Clusters)] = s.run(ctx, s.registryCommand()) })
	for i, name := range s.Clusters {
		wg.Go(func() {
			if errs[i] = s.run(ctx, s.clusterCommand(i, name)); errs[i] != nil {
				return
			}
			if errs[i] = s.prepare(ctx, i); errs[i] == nil && s.Controllers {
				errs[i] = s.run(ctx, s.controllerCommand(i, name))
			}
			if errs[i] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return s.Dir.write("lab.json", s.lab)
}

// run starts a process and waits until it serves.
func (s *supervisor) run(ctx context.Context, c command) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r, err := start(s.Dir, c)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.children[c.name], s.commands[c.name] = r, c
	s.mu.Unlock()
	if err := s.save(); err != nil {
		return err
	}
	if err := r.serves(ctx, s.Dir, c); err != nil {
		// One that is not ready in time would hold its port and its lock.
		return errors.Join(err, r.stop(stopPatience))
	}
	s.say(c.name + " serves")
	go func() {
		<-r.exited
		s.died <- died{c.name, r.died(s.Dir)}
	}()
	return nil
}

// supervise starts again what dies, at a growing distance.
func (s *supervisor) supervise(ctx context.Context) {
	var restarts sync.WaitGroup
	defer restarts.Wait() // what is being started now is stopped with the rest
	for {
		select {
		case <-ctx.Done():
			return
		case d := <-s.died:
			s.mu.Lock()
			s.state.Restarts[d.name]++
			n, c := s.state.Restarts[d.name], s.commands[d.name]
			s.mu.Unlock()
			s.say(d.err.Error())
			pause := min(time.Duration(n-1)*500*time.Millisecond, 10*time.Second)
			restarts.Go(func() {
				if !s.mayStart(ctx, d.name, pause) {
					return
				}
				again, cancel := context.WithTimeout(ctx, s.Timeout)
				defer cancel()
				if err := s.run(again, c); err != nil && ctx.Err() == nil {
					s.died <- died{d.name, err}
				}
			})
		}
	}
}

// mayStart waits before a restart: for the pause, and for as long as somebody
// holds the process down. It is false if the lab ends meanwhile.
func (s *supervisor) mayStart(ctx context.Context, name string, pause time.Duration) bool {
	const look = 50 * time.Millisecond
	for {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return false
		}
		if !s.Dir.holds(name) {
			return true
		}
		pause = look
	}
}

// stop ends everything in the order in which it depends on each other.
func (s *supervisor) stop() error {
	s.mu.Lock()
	children := make([]*child, 0, len(s.children))
	for _, r := range s.children {
		children = append(children, r)
	}
	s.mu.Unlock()
	var errs []error
	for _, kind := range []string{"controller-", "cluster-", "registry"} {
		var wg sync.WaitGroup
		var mu sync.Mutex
		for _, r := range children {
			if len(r.Name) < len(kind) || r.Name[:len(kind)] != kind {
				continue
			}
			wg.Go(func() {
				if err := r.stop(stopPatience); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
	}
	return errors.Join(append(errs, s.Dir.remove("lab.json"))...)
}

func (s *supervisor) say(text string) {
	entry := ProgressEntry{Text: text, Seconds: time.Since(s.began).Seconds()}
	s.mu.Lock()
	s.state.Progress = append(s.state.Progress, entry)
	if len(s.state.Progress) > 100 {
		s.state.Progress = s.state.Progress[1:]
	}
	s.mu.Unlock()
	s.Progress(entry)
	if err := s.save(); err != nil {
		s.Progress(ProgressEntry{Text: fmt.Sprintf("the state of the lab is not saved: %v", err), Seconds: entry.Seconds})
	}
}

func (s *supervisor) phase(p Phase, message string) {
	s.mu.Lock()
	s.state.Phase, s.state.Message = p, message
	if p == Down || p == Failed {
		s.children = map[string]*child{}
	}
	s.mu.Unlock()
	if err := s.save(); err != nil {
		s.Progress(ProgressEntry{Text: fmt.Sprintf("the state of the lab is not saved: %v", err), Seconds: time.Since(s.began).Seconds()})
	}
}

// save writes the state; the pids in it are what the next `up` can reap.
func (s *supervisor) save() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Processes = nil
	for _, r := range s.children {
		s.state.Processes = append(s.state.Processes, r.Process)
	}
	slices.SortFunc(s.state.Processes, func(a, b Process) int { return a.PID - b.PID })
	return s.Dir.write("state.json", s.state)
}
