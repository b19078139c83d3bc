// Package command is the command line of sluice-lab.
//
// In: arguments and the standard streams. Out: an exit code: 0 after a clean
// stop, 1 if something failed, 2 if the arguments make no sense. It decides
// nothing: it parses, wires the components of a verb and hands them to package
// foreground. It must never write anything but the ready line to stdout while a
// component runs, because a supervisor reads it.
package command

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime"

	"github.com/sluice-dev/sluice/lab/internal/controlplane"
	"github.com/sluice-dev/sluice/lab/internal/foreground"
)

const usage = `sluice-lab runs one part of a lab in the foreground. "sluice up" runs a whole lab.

  sluice-lab cluster --name NAME --dir DIR [--port N] [--lifeline]
      One Kubernetes cluster: real etcd, API server, controllers and scheduler;
      simulated nodes. No container ever runs.
      --name NAME      name of the cluster and of its context in DIR/kubeconfig
      --dir DIR        keeps the data; a second start resumes with it
      --port N         port of the API server on 127.0.0.1; 0 (default) is any free one
      --lifeline       stop when stdin ends

  sluice-lab registry --dir DIR [--addr HOST:PORT] [--notify URL]... [--notify-token TOKEN] [--lifeline]
      One OCI registry over plain HTTP.
      --dir DIR        keeps the data; a second start resumes with it
      --addr HOST:PORT default 127.0.0.1:0, any free port
      --notify URL     POST an event here for each pushed or deleted manifest; repeatable
      --notify-token T sent as "Authorization: Bearer T" with each event
      --lifeline       stop when stdin ends

  sluice-lab version
  sluice-lab help

Each prints one JSON line on stdout when it serves and writes its log to DIR/log.
SIGTERM or SIGINT stops it cleanly.
`

// misuse is an error in the arguments.
type misuse struct{ error }

// Run is the whole program except for leaving it.
func Run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	err := dispatch(args, stdin, stdout)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &misuse{}):
		fmt.Fprintf(stderr, "sluice-lab: %v\nRun \"sluice-lab help\" for the usage.\n", err)
		return 2
	case errors.As(err, &foreground.Reported{}):
		return 1
	}
	fmt.Fprintf(stderr, "sluice-lab: %v\n", err)
	return 1
}

func dispatch(args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) == 0 {
		return misuse{errors.New("no command given")}
	}
	switch verb, rest := args[0], args[1:]; verb {
	case "cluster":
		return cluster(rest, stdin, stdout)
	case "registry":
		return serveRegistry(rest, stdin, stdout)
	case "version", "--version":
		_, err := fmt.Fprintf(stdout, "sluice-lab %s, Kubernetes %s, %s\n", version(), controlplane.KubernetesVersion(), runtime.Version())
		return err
	case "help", "--help", "-h":
		_, err := io.WriteString(stdout, usage)
		return err
	default:
		return misuse{fmt.Errorf("unknown command %q", verb)}
	}
}

// parse reads flags; whatever is wrong with them is misuse, and help is not wrong.
func parse(flags *flag.FlagSet, args []string, stdout io.Writer) (help bool, err error) {
	flags.SetOutput(io.Discard)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		_, err := io.WriteString(stdout, usage)
		return true, err
	case err != nil:
		return false, misuse{fmt.Errorf("%s: %w", flags.Name(), err)}
	case flags.NArg() > 0:
		return false, misuse{fmt.Errorf("%s: unexpected argument %q", flags.Name(), flags.Arg(0))}
	}
	return false, nil
}

// lifeline is stdin if the caller wants it to be one.
func lifeline(wanted bool, stdin io.Reader) io.Reader {
	if !wanted {
		return nil
	}
	return stdin
}
