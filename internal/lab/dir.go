package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Dir is the directory of a lab, absolute.
type Dir string

// Lab is the content of DIR/lab.json: where everything serves.
type Lab struct {
	Registry string    `json:"registry"` // host:port
	Clusters []Cluster `json:"clusters"`
}

// Cluster is one cluster of a lab.
type Cluster struct {
	Name       string `json:"name"`
	Server     string `json:"server"`     // URL of the API server
	Kubeconfig string `json:"kubeconfig"` // absolute path
}

// Phase of a lab.
type Phase string

// The phases.
const (
	Starting Phase = "starting"
	Ready    Phase = "ready"
	Failed   Phase = "failed"
	Down     Phase = "down"
)

// State is the content of DIR/state.json: what the supervisor knows, for those
// who come after it.
type State struct {
	Phase       Phase           `json:"phase"`
	Message     string          `json:"message,omitempty"` // why it failed
	Supervisor  Process         `json:"supervisor"`
	Processes   []Process       `json:"processes,omitempty"`
	Clusters    []string        `json:"clusters"`
	Controllers bool            `json:"controllers"`
	Ports       map[string]int  `json:"ports"`
	HookToken   string          `json:"hookToken"`
	Restarts    map[string]int  `json:"restarts,omitempty"`
	Progress    []ProgressEntry `json:"progress,omitempty"`
}

// ProgressEntry is one line of progress.
type ProgressEntry struct {
	Text    string  `json:"text"`
	Seconds float64 `json:"seconds"`
}

// Process names a process for good: a pid alone is used again by the system.
type Process struct {
	Name  string `json:"name"`
	PID   int    `json:"pid"`
	Start string `json:"start"` // when the system says it started
}

// Open makes the path of a lab's directory absolute.
func Open(path string) (Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("finding the lab's directory: %w", err)
	}
	return Dir(abs), nil
}

func (d Dir) path(parts ...string) string {
	return filepath.Join(append([]string{string(d)}, parts...)...)
}

// LogFile is where a process of the lab writes what is wrong.
func (d Dir) LogFile(process string) string { return d.path("logs", process+".log") }

// Lab reads DIR/lab.json; fs.ErrNotExist says that there is no lab.
func (d Dir) Lab() (Lab, error) {
	var l Lab
	return l, d.read("lab.json", &l)
}

// State reads DIR/state.json; fs.ErrNotExist says that there never was a lab.
func (d Dir) State() (State, error) {
	var s State
	return s, d.read("state.json", &s)
}

func (d Dir) read(name string, into any) error {
	raw, err := os.ReadFile(d.path(name))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("reading %s: %w", d.path(name), err)
	}
	return nil
}

// write replaces a file as a whole: readers never see half of it.
func (d Dir) write(name string, value any) error {
	raw, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return d.writeFile(name, append(raw, '\n'))
}

func (d Dir) writeFile(name string, content []byte) error {
	f, err := os.CreateTemp(string(d), "."+name+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), d.path(name))
}

func (d Dir) remove(name string) error {
	if err := os.Remove(d.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Alive tells whether the lab's supervisor runs.
func (s State) Alive() bool { return s.Supervisor.alive() }
