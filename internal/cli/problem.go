package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"slices"
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
	exitCodeHelp = `
0    ok
1    a negative answer, or a failure that none of the others names
2    the command line is wrong
3    not found
4    not allowed: authentication or authorisation
5    out of time
6    not verified: signature or digest
7    a conflict, or something is held
8    partly done
130  interrupted`
)

func newExitCodes() *cobra.Command {
	return &cobra.Command{Use: "exit-codes", Short: "The exit codes of all commands", Long: "Exit codes of all commands:\n" + exitCodeHelp}
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
func registryProblem(what string, err error) *Problem {
	p := &Problem{Code: Negative, What: what, Why: err}
	var f *oci.Failure
	var login *oci.LoginError
	var cert *tls.CertificateVerificationError
	if errors.As(err, &login) {
		return noCredentials(login.Host, login)
	}
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
		p.Do = []string{"check the credentials: docker login " + host + ", or --creds USER:PASSWORD"}
	case oci.Forbidden:
		p.Code = NotAllowed
		p.Do = []string{
			"check who you are: docker login " + host + ", or --creds USER:PASSWORD",
			"ask the owner of " + f.Repository.String() + " for the right to do this",
		}
	case oci.NotFound:
		p.Code = NotFound
		p.Do = []string{"check the name: sluice tags " + f.Repository.URL() + " shows what is there"}
	case oci.TimedOut:
		p.Code = TimedOut
		p.Do = []string{"try again, with a longer --timeout if the line is slow"}
	case oci.RateLimited:
		p.Do = []string{"try again later; authenticated users get higher limits at most registries"}
	case oci.Unreachable:
		if errors.As(err, &cert) {
			p.Do = []string{"add the authority that signed it to those of this system", "pass --insecure-registry, if whoever may be in between does not matter"}
			break
		}
		p.Do = []string{"check the name and that " + host + " can be reached from here"}
	case oci.Interrupted, oci.Broken:
		p.Do = []string{"try again"}
	}
	return p
}

func noCredentials(host string, err error) *Problem {
	return &Problem{
		Code: NotAllowed, What: "no credentials for " + host, Why: err,
		Do: []string{"mend the docker configuration or its credential helper", "pass --creds USER:PASSWORD"},
	}
}

// nothingPushed is what happens by itself after every failure before a tag is
// written.
const nothingPushed = "nothing: no tag was moved"

// afterTags says which of the tags were moved before writing them failed.
func (p *Problem) afterTags(tags []string) *Problem {
	var f *oci.Failure
	p.Next = nothingPushed
	if !errors.As(p.Why, &f) {
		return p
	}
	failed, found := strings.CutPrefix(f.Doing, "writing tag ")
	i := slices.Index(tags, failed)
	if !found || i < 0 {
		return p
	}
	var said []string
	if i > 0 {
		p.Code = Partial
		said = append(said, "moved already: "+strings.Join(tags[:i], ", "))
	}
	switch f.Kind {
	case oci.Interrupted, oci.TimedOut, oci.Canceled:
		said = append(said, "moved or not, no answer came: "+failed)
		tags = tags[i+1:]
	default:
		tags = tags[i:]
	}
	if len(tags) > 0 && len(said) > 0 {
		said = append(said, "not moved: "+strings.Join(tags, ", "))
	}
	if len(said) > 0 {
		p.Next = "nothing; tags " + strings.Join(said, "; ")
	}
	return p
}
