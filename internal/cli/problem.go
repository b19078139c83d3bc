package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/internal/source/oci"
)

// Exit codes of every command.
const (
	OK           = 0
	Negative     = 1
	Usage        = 2
	NotFound     = 3
	NotAllowed   = 4
	TimedOut     = 5
	Unverified   = 6
	Conflict     = 7
	Partial      = 8
	Interrupted  = 130
	exitCodeHelp = `0    ok
1    a negative answer, or a failure that none of the others names
2    the command line is wrong
3    not found
4    not allowed: authentication or authorisation
5    out of time
6    not verified: signature or digest
7    a conflict, or something is held
8    partly done
130  interrupted
`
)

func newExitCodes() *cobra.Command {
	return &cobra.Command{Use: "exit-codes", Short: "The exit codes of all commands", Long: "Exit codes of all commands:\n\n" + exitCodeHelp}
}

// Problem is an error as a user gets it: what failed, why, what happens next
// by itself, what to do.
type Problem struct {
	Code int
	What string
	Why  error
	Next string   // what happens by itself; empty is nothing
	Do   []string // commands or acts that may help
}

func (p *Problem) Error() string {
	if p.Why == nil {
		return p.What
	}
	return fmt.Sprintf("%s: %v", p.What, p.Why)
}

// Unwrap gives the cause.
func (p *Problem) Unwrap() error { return p.Why }

func (p *Problem) print(w io.Writer) {
	fmt.Fprintf(w, "sluice: %s\n", p.What)
	line := func(label, text string) {
		if text != "" {
			fmt.Fprintf(w, "  %-6s%s\n", label+":", strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n        "))
		}
	}
	if p.Why != nil {
		line("why", p.Why.Error())
	}
	line("next", p.Next)
	for i, do := range p.Do {
		if i == 0 {
			line("do", do)
		} else {
			line("or", do)
		}
	}
}

// registryProblem explains what a registry said.
func registryProblem(what, next string, err error) error {
	p := &Problem{Code: Negative, What: what, Why: err, Next: next}
	var f *oci.Failure
	if !errors.As(err, &f) {
		if errors.Is(err, context.DeadlineExceeded) {
			p.Code = TimedOut
		}
		return p
	}
	host := f.Repository.Host
	switch f.Kind {
	case oci.Unauthorized:
		p.Code = NotAllowed
		p.Do = []string{"docker login " + host, "pass --creds USER:PASSWORD"}
	case oci.Forbidden:
		p.Code = NotAllowed
		p.Do = []string{"ask the owner of " + f.Repository.String() + " for the right to do this"}
	case oci.NotFound:
		p.Code = NotFound
		p.Do = []string{"sluice tags " + f.Repository.String() + "   shows what is there"}
	case oci.TimedOut:
		p.Code = TimedOut
		p.Do = []string{"try again, with a longer --timeout if the line is slow"}
	case oci.RateLimited:
		p.Do = []string{"try again later; authenticated users get higher limits at most registries"}
	case oci.Unreachable:
		p.Do = []string{"check the name and that " + host + " can be reached from here"}
	case oci.Interrupted, oci.Broken:
		p.Do = []string{"try again; what has been uploaded is not sent twice"}
	}
	return p
}
