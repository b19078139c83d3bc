package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	if ctx.Err() != nil {
		fmt.Fprintln(std.Err, "sluice: interrupted")
		return Interrupted
	}
	var p *Problem
	if !errors.As(err, &p) {
		// What cobra itself finds wrong is the command line.
		p = &Problem{Code: Usage, What: err.Error(), Do: []string{strings.TrimSpace("sluice help " + verbOf(root, std.Args))}}
	}
	p.print(std.Err)
	return p.Code
}

func verbOf(root *cobra.Command, args []string) string {
	if found, _, err := root.Find(args); err == nil && found != root {
		return strings.TrimPrefix(found.CommandPath(), "sluice ")
	}
	return ""
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
	}
	root.SetIn(std.In)
	root.SetOut(std.Out)
	root.SetErr(std.Err)
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage(c, err.Error())
	})
	root.AddGroup(
		&cobra.Group{ID: "bundles", Title: "Bundles:"},
		&cobra.Group{ID: "lab", Title: "Lab:"},
		&cobra.Group{ID: "operate", Title: "Operate:"},
	)
	for group, commands := range map[string][]*cobra.Command{
		"bundles": {newPush(std), newPull(std), newTag(std), newTags(std), newInspect(std)},
		"lab":     {newUp(std), newDown(std), newStatus(std)},
		"operate": {newController(std)},
	} {
		for _, c := range commands {
			c.GroupID = group
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

func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(c, fmt.Sprintf("%s takes no argument %q", c.CommandPath(), args[0]))
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
			return usage(c, fmt.Sprintf("%s needs %s", c.CommandPath(), name))
		default:
			return usage(c, fmt.Sprintf("%s takes one %s, not %d arguments", c.CommandPath(), name, len(args)))
		}
	}
}
