package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// IO is everything a command has of the world.
type IO struct {
	Args     []string
	In       io.Reader
	Out, Err io.Writer
	Getenv   func(string) string
	Version  string
}

// Main runs one command and returns the exit code of the process.
func Main(ctx context.Context, std IO) int {
	root := newRoot(std)
	root.SetArgs(std.Args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return OK
	}
	var p *Problem
	switch known := errors.As(err, &p); {
	case ctx.Err() != nil && known:
		p = &Problem{Code: Interrupted, What: "interrupted", Next: p.Next}
	case ctx.Err() != nil:
		p = &Problem{Code: Interrupted, What: "interrupted"}
	case !known:
		p = unexplained(root, std.Args, err)
	}
	p.print(std.Err)
	return p.Code
}

// unexplained is an error that no verb explains: what cobra itself finds wrong
// with the command line, or for example a stdout that takes no more.
func unexplained(root *cobra.Command, args []string, err error) *Problem {
	p := &Problem{Code: Usage, What: err.Error()}
	found, _, findErr := root.Find(args)
	switch {
	case !strings.HasPrefix(err.Error(), "unknown command"):
		p.Code = Negative
		return p
	case findErr == nil:
		p.Do = []string{found.CommandPath() + " --help"}
		return p
	}
	if i := slices.IndexFunc(args, func(a string) bool { return !strings.HasPrefix(a, "-") }); i >= 0 {
		p.What = fmt.Sprintf("there is no command %q", args[i])
		for _, name := range root.SuggestionsFor(args[i]) {
			p.Do = append(p.Do, "sluice "+name+" --help")
		}
	}
	p.Do = append(p.Do, "sluice help")
	return p
}

func newRoot(std IO) *cobra.Command {
	root := &cobra.Command{
		Use:   "sluice",
		Short: "Deliver Kustomize bundles, published as OCI artifacts, to Kubernetes clusters",
		Long: `Sluice follows versioned Kustomize bundles in OCI registries and keeps clusters
at the versions that each environment asks for, on Flux's own API objects.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       std.Version,

		DisableSuggestions:         true, // we make our own: unexplained
		SuggestionsMinimumDistance: 2,
	}
	root.SetIn(std.In)
	root.SetOut(std.Out)
	root.SetErr(std.Err)
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage(c, err.Error())
	})
	root.AddGroup(
		&cobra.Group{ID: "look", Title: "Look:"},
		&cobra.Group{ID: "act", Title: "Act:"},
		&cobra.Group{ID: "bundles", Title: "Bundles:"},
		&cobra.Group{ID: "lab", Title: "Lab:"},
		&cobra.Group{ID: "operate", Title: "Operate:"},
	)
	for _, group := range []struct {
		id       string
		commands []*cobra.Command
	}{
		{"look", []*cobra.Command{newGet(std), newTree(std), newGraph(std), newEvents(std), newHistory(std)}},
		{"act", []*cobra.Command{newReconcile(std), newSuspend(std), newResume(std), newWait(std)}},
		{"bundles", []*cobra.Command{newPush(std), newPull(std), newTag(std), newTags(std), newInspect(std), newNew(std)}},
		{"lab", []*cobra.Command{newUp(std), newDown(std), newStatus(std), newDemo(std)}},
		{"operate", []*cobra.Command{newPlan(std), newController(std)}},
	} {
		for _, c := range group.commands {
			c.GroupID = group.id
			root.AddCommand(c)
		}
	}
	root.AddCommand(&cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(std.Out, std.Version)
			return err
		},
	}, newExitCodes())
	return root
}

// usage is a wrong command line of a known verb.
func usage(c *cobra.Command, what string) *Problem {
	return &Problem{Code: Usage, What: what, Do: []string{c.CommandPath() + " --help"}}
}

// verb is a command as it is named in a sentence that starts with "sluice:".
func verb(c *cobra.Command) string { return strings.TrimPrefix(c.CommandPath(), "sluice ") }

func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(c, fmt.Sprintf("%s takes no argument %q", verb(c), args[0]))
	}
	return nil
}

// oneArg wants exactly one argument, called by its name.
func oneArg(name string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch len(args) {
		case 1:
			return nil
		case 0:
			return usage(c, fmt.Sprintf("%s needs an argument %s", verb(c), name))
		default:
			return usage(c, fmt.Sprintf("%s takes one argument %s, not %d: %s", verb(c), name, len(args), strings.Join(args, " ")))
		}
	}
}
