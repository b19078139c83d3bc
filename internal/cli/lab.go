package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/internal/lab"
)

// labFlags are shared by the verbs of the lab.
type labFlags struct {
	path string
}

func (f *labFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.path, "dir", ".sluice-lab", "directory of the lab")
}

type upFlags struct {
	labFlags
	clusters      []string
	detach        bool
	timeout       time.Duration
	noControllers bool
	supervise     bool
	exampleDir    string
	example       *example // nil without one
	output        format
}

func newUp(std IO) *cobra.Command {
	var f upFlags
	c := &cobra.Command{
		Use:   "up",
		Short: "Start a lab: real API servers, a real registry, one controller per cluster",
		Long: `Start a lab on this machine, without Docker: per cluster a real kube-apiserver
with etcd and the controllers that workloads need, one OCI registry, and one
Sluice controller per cluster. Only kubelets are simulated: pods become ready,
but no container runs.

DIR/lab.json says where everything serves; DIR/NAME.kubeconfig works with
kubectl, helm, k9s and flux. Ctrl-C stops all; with --detach "sluice down" does.
Started again on the same directory, a lab resumes with its data.

With --example the lab gets something to deliver: the directory's sluice.yaml
names clusters and bundles. All is published to the lab's registry, each cluster
follows its part of the directory, and the roll-out is shown until everything is
ready.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c, std) },
	}
	f.labFlags.register(c)
	flags := c.Flags()
	flags.StringSliceVar(&f.clusters, "clusters", []string{"staging", "production"}, "names of the clusters")
	flags.BoolVar(&f.detach, "detach", false, "return once everything serves, and leave it running")
	flags.DurationVar(&f.timeout, "timeout", 5*time.Minute, "how long the start may take")
	flags.BoolVar(&f.noControllers, "no-controllers", false, "leave the Sluice controllers out, to run one's own")
	flags.StringVar(&f.exampleDir, "example", "", "directory with a sluice.yaml: publish what it names, and deliver it to the clusters")
	flags.BoolVar(&f.supervise, "supervise", false, "")
	_ = flags.MarkHidden("supervise")
	f.output.register(c)
	return c
}

var clusterName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?$`)

func (f *upFlags) run(c *cobra.Command, std IO) error {
	if err := f.output.check(c); err != nil {
		return err
	}
	if err := f.openExample(c); err != nil {
		return err
	}
	for i, name := range f.clusters {
		if !clusterName.MatchString(name) {
			return usage(c, fmt.Sprintf("--clusters: %q is no name: lower-case letters, digits and dashes", name))
		}
		if slices.Contains(f.clusters[:i], name) {
			return usage(c, fmt.Sprintf("--clusters names %s twice", name))
		}
	}
	if len(f.clusters) == 0 {
		return usage(c, "--clusters is empty")
	}
	dir, err := lab.Open(f.path)
	if err != nil {
		return err
	}
	sluice, simulator, err := binaries(std)
	if err != nil {
		return err
	}
	if f.detach {
		return f.detached(c, std, dir, sluice)
	}
	began := time.Now()
	err = lab.Up(c.Context(), lab.Options{
		Dir: dir, Clusters: f.clusters, Controllers: !f.noControllers, Sluice: sluice, Lab: simulator, Timeout: f.timeout,
		Progress: func(p lab.ProgressEntry) { showProgress(std.Err, p) },
	}, func(l lab.Lab) {
		fmt.Fprintf(std.Err, "ready after %.1fs; Ctrl-C stops everything\n", time.Since(began).Seconds())
		if !f.supervise {
			_ = f.output.print(std.Out, l, describe(l))
		}
		f.playBeside(c, std, l)
	})
	if errors.Is(err, lab.ErrRunning) {
		return f.already(c, std, dir)
	}
	return labProblem("the lab did not start", dir, err)
}

// detached starts a supervisor that outlives us and waits until it is ready.
func (f *upFlags) detached(c *cobra.Command, std IO, dir lab.Dir, sluice string) error {
	if state, err := dir.State(); err == nil && state.Alive() {
		return f.already(c, std, dir)
	}
	if err := os.MkdirAll(filepath.Dir(dir.LogFile("supervisor")), 0o750); err != nil {
		return &Problem{Code: codeOf(err), What: "making the lab's directory failed", Why: err}
	}
	log, err := os.Create(dir.LogFile("supervisor"))
	if err != nil {
		return &Problem{Code: codeOf(err), What: "making the lab's log failed", Why: err}
	}
	defer log.Close()
	args := []string{"up", "--supervise", "--dir", string(dir), "--clusters", strings.Join(f.clusters, ","), "--timeout", f.timeout.String()}
	if f.noControllers {
		args = append(args, "--no-controllers")
	}
	cmd := exec.Command(sluice, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // the terminal's end is not its end
	if err := cmd.Start(); err != nil {
		return &Problem{Code: Negative, What: "starting the supervisor failed", Why: err}
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	ctx, cancel := context.WithTimeoutCause(c.Context(), f.timeout+10*time.Second, fmt.Errorf("not ready within %s", f.timeout))
	defer cancel()
	began := time.Now()
	l, err := lab.Await(ctx, dir, cmd.Process.Pid, exited, func(p lab.ProgressEntry) { showProgress(std.Err, p) })
	if err != nil {
		return labProblem("the lab did not start", dir, err)
	}
	fmt.Fprintf(std.Err, "ready after %.1fs; stop it with: sluice down --dir %s\n", time.Since(began).Seconds(), f.path)
	return f.deliver(c, std, l)
}

// already is `up` on a lab that runs.
func (f *upFlags) already(c *cobra.Command, std IO, dir lab.Dir) error {
	state, err := dir.State()
	if err != nil {
		return err
	}
	if !slices.Equal(state.Clusters, f.clusters) {
		return &Problem{
			Code: Conflict, What: "the lab is running with other clusters",
			Why: fmt.Errorf("it has %s", strings.Join(state.Clusters, ", ")), Do: []string{"sluice down --dir " + f.path, "use another --dir"},
		}
	}
	ctx, cancel := context.WithTimeoutCause(c.Context(), f.timeout, fmt.Errorf("not ready within %s", f.timeout))
	defer cancel()
	l, err := lab.Await(ctx, dir, state.Supervisor.PID, nil, func(lab.ProgressEntry) {})
	if err != nil {
		return labProblem("the lab that runs already is not ready", dir, err)
	}
	fmt.Fprintln(std.Err, "the lab is running already")
	return f.deliver(c, std, l)
}

func showProgress(w io.Writer, p lab.ProgressEntry) {
	fmt.Fprintf(w, "%6.1fs  %s\n", p.Seconds, p.Text)
}

// describe prints a lab for people.
func describe(l lab.Lab) func(io.Writer) error {
	return func(w io.Writer) error {
		rows := [][]string{{"registry", "oci://" + l.Registry, ""}}
		for _, c := range l.Clusters {
			rows = append(rows, []string{c.Name, c.Server, c.Kubeconfig})
		}
		return table(w, []string{"NAME", "ADDRESS", "KUBECONFIG"}, rows)
	}
}

// binaries finds ourselves and sluice-lab beside us.
func binaries(std IO) (sluice, simulator string, err error) {
	if sluice, err = os.Executable(); err != nil {
		return "", "", &Problem{Code: NotFound, What: "the path of this program cannot be found", Why: err}
	}
	simulator = std.Getenv("SLUICE_LAB_BINARY")
	if simulator == "" {
		simulator = filepath.Join(filepath.Dir(sluice), "sluice-lab")
	}
	if _, err := os.Stat(simulator); err != nil {
		return "", "", &Problem{
			Code: NotFound, What: "the program sluice-lab, which holds the API server, is missing", Why: err,
			Do: []string{"make build", "set SLUICE_LAB_BINARY to its path"},
		}
	}
	return sluice, simulator, nil
}

func labProblem(what string, dir lab.Dir, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return &Problem{Code: Negative, What: what, Why: err, Next: "all its processes are being stopped", Do: []string{"look into " + filepath.Dir(dir.LogFile("supervisor"))}}
}

func newDown(std IO) *cobra.Command {
	var f labFlags
	var purge bool
	c := &cobra.Command{
		Use:   "down",
		Short: "Stop a lab; its data stays",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			dir, err := lab.Open(f.path)
			if err != nil {
				return err
			}
			found, err := lab.TakeDown(dir)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				fmt.Fprintf(std.Err, "there is no lab in %s\n", f.path)
				return nil
			case err != nil:
				return &Problem{Code: Negative, What: "stopping the lab failed", Why: err, Do: []string{"try again"}}
			}
			if purge {
				if err := lab.Delete(dir); err != nil {
					return &Problem{Code: codeOf(err), What: "deleting the lab's data failed", Why: err}
				}
			}
			fmt.Fprintf(std.Err, "%d processes stopped\n", found)
			return nil
		},
	}
	f.register(c)
	c.Flags().BoolVar(&purge, "delete", false, "delete the lab's data too")
	return c
}

func newStatus(std IO) *cobra.Command {
	var f labFlags
	var output format
	c := &cobra.Command{
		Use:   "status",
		Short: "Show how a lab is",
		Long:  "Show how a lab is. The exit code is 1 if any of its processes does not serve, and 3 if there is no lab.",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := output.check(c); err != nil {
				return err
			}
			dir, err := lab.Open(f.path)
			if err != nil {
				return err
			}
			state, parts, err := lab.Look(c.Context(), dir)
			if errors.Is(err, fs.ErrNotExist) {
				return &Problem{Code: NotFound, What: fmt.Sprintf("there is no lab in %s", f.path), Do: []string{"sluice up --dir " + f.path}}
			}
			if err != nil {
				return err
			}
			healthy := state.Phase == lab.Ready && state.Alive()
			for _, p := range parts {
				healthy = healthy && p.Serves
			}
			err = output.print(std.Out, map[string]any{"phase": state.Phase, "healthy": healthy, "processes": parts}, func(w io.Writer) error {
				return printParts(w, state, parts)
			})
			if err != nil || healthy {
				return err
			}
			return &Problem{
				Code: Negative, What: fmt.Sprintf("the lab is %s", state.Phase), Why: reason(state),
				Do: []string{"sluice up --dir " + f.path},
			}
		},
	}
	f.register(c)
	output.register(c)
	return c
}

func reason(s lab.State) error {
	switch {
	case s.Message != "":
		return errors.New(s.Message)
	case s.Phase == lab.Ready && !s.Alive():
		return errors.New("its supervisor is gone")
	case s.Phase == lab.Ready:
		return errors.New("a process does not serve; the supervisor starts it again")
	}
	return nil
}

func printParts(w io.Writer, state lab.State, parts []lab.Part) error {
	if state.Phase == lab.Down {
		return nil
	}
	var rows [][]string
	var total int64
	for _, p := range parts {
		how := "serves"
		switch {
		case !p.Alive:
			how = "dead"
		case !p.Serves:
			how = "starting"
		}
		total += p.Memory
		rows = append(rows, []string{p.Name, how, p.Address, fmt.Sprint(p.PID), size(p.Memory), fmt.Sprint(p.Restarts)})
	}
	rows = append(rows, []string{"total", "", "", "", size(total), ""})
	return table(w, []string{"PROCESS", "STATE", "ADDRESS", "PID", "MEMORY", "RESTARTS"}, rows)
}
