package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// TakeDown ends a lab, whoever runs it, and whatever is left of it. It returns
// how many processes it found. The data stays.
func TakeDown(d Dir) (int, error) {
	state, err := d.State()
	if errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	if err != nil {
		return 0, err
	}
	found := 0
	for _, p := range append(state.Processes, state.Supervisor) {
		if p.alive() {
			found++
		}
	}
	// The supervisor stops its own in order; what it cannot is reaped.
	if err := state.Supervisor.stop(3 * stopPatience); err != nil {
		return found, fmt.Errorf("stopping the supervisor: %w", err)
	}
	left, err := d.State()
	if err != nil {
		return found, err
	}
	if err := errors.Join(reap(state), reap(left)); err != nil {
		return found, err
	}
	left.Phase, left.Processes, left.Supervisor = Down, nil, Process{}
	return found, errors.Join(d.remove("lab.json"), d.write("state.json", left))
}

// Delete removes a lab's directory. It refuses one that is none.
func Delete(d Dir) error {
	if _, err := d.State(); err != nil {
		return err
	}
	return os.RemoveAll(string(d))
}

// Part is one process of a lab as Look finds it.
type Part struct {
	Name     string `json:"name"`
	PID      int    `json:"pid"`
	Alive    bool   `json:"alive"`
	Serves   bool   `json:"serves"`
	Address  string `json:"address,omitempty"`
	Memory   int64  `json:"memory"` // bytes
	Restarts int    `json:"restarts"`
}

// Look finds out how a lab is: every process is asked, not believed.
func Look(ctx context.Context, d Dir) (State, []Part, error) {
	state, err := d.State()
	if err != nil {
		return state, nil, err
	}
	var parts []Part
	for _, p := range append([]Process{state.Supervisor}, state.Processes...) {
		part := Part{Name: p.Name, PID: p.PID, Alive: p.alive(), Restarts: state.Restarts[p.Name]}
		part.Serves = part.Alive
		if part.Alive {
			part.Memory = memoryOf(p.PID)
			part.Address, part.Serves = serves(ctx, state, p.Name)
		}
		parts = append(parts, part)
	}
	return state, parts, nil
}

func serves(ctx context.Context, s State, name string) (string, bool) {
	at := func(use string) string { return loopback(s.Ports[use]) }
	for _, cluster := range s.Clusters {
		switch name {
		case "cluster-" + cluster:
			return "https://" + at(cluster+"/api"), accepts(ctx, at(cluster+"/api"))
		case "controller-" + cluster:
			return "http://" + at(cluster+"/storage"), ok(ctx, "http://"+at(cluster+"/health")+"/readyz")
		}
	}
	if name == "registry" {
		return at("registry"), ok(ctx, "http://"+at("registry")+"/v2/")
	}
	return "", true
}

// Await waits until a lab that another process starts is ready or has failed,
// and passes its progress on.
func Await(ctx context.Context, d Dir, supervisor int, exited <-chan error, progress func(ProgressEntry)) (Lab, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	shown := 0
	for {
		state, err := d.State()
		if err == nil && state.Supervisor.PID == supervisor && (state.Alive() || state.Phase == Failed) {
			for ; shown < len(state.Progress); shown++ {
				progress(state.Progress[shown])
			}
			switch state.Phase {
			case Ready:
				return d.Lab()
			case Failed:
				return Lab{}, errors.New(state.Message)
			}
		} else if exited == nil && err == nil {
			return Lab{}, errors.New("its supervisor is gone")
		}
		select {
		case <-tick.C:
		case err := <-exited:
			if state, stateErr := d.State(); stateErr == nil && state.Phase == Failed {
				return Lab{}, errors.New(state.Message)
			}
			return Lab{}, fmt.Errorf("the supervisor ended early (%v); see %s", err, d.LogFile("supervisor"))
		case <-ctx.Done():
			if exited != nil { // ours; somebody else's lab goes on
				_ = syscall.Kill(supervisor, syscall.SIGTERM)
			}
			return Lab{}, context.Cause(ctx)
		}
	}
}
