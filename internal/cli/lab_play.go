package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/internal/lab"
)

// openExample reads the example, if there is one. Unless clusters are named,
// the lab has those of the example.
func (f *upFlags) openExample(c *cobra.Command) error {
	if f.exampleDir == "" {
		return nil
	}
	if f.noControllers {
		return usage(c, "--example needs the controllers: leave --no-controllers out")
	}
	e, err := openExample(f.exampleDir)
	if err != nil {
		return err
	}
	if !c.Flags().Changed("clusters") {
		f.clusters = e.Names()
	}
	for _, name := range f.clusters {
		if _, found := e.cluster(name); !found {
			return usage(c, fmt.Sprintf("--clusters: the example has no cluster %s, but %s", name, strings.Join(e.Names(), ", ")))
		}
	}
	f.example = &e
	return nil
}

// deliver prints the lab that is ready and delivers the example to it.
func (f *upFlags) deliver(c *cobra.Command, std IO, l lab.Lab) error {
	if err := f.output.print(std.Out, l, describe(l)); err != nil || f.example == nil {
		return err
	}
	return f.play(c, std, l)
}

// playBeside delivers the example while we go on supervising the lab. What goes
// wrong is said, and the lab stays: it is there to find out why.
func (f *upFlags) playBeside(c *cobra.Command, std IO, l lab.Lab) {
	if f.example == nil || f.supervise {
		return
	}
	go func() {
		if err := f.play(c, std, l); err != nil && c.Context().Err() == nil {
			explain(err).print(std.Err)
		}
	}()
}

// explain is an error as a user gets it.
func explain(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	return &Problem{Code: Negative, What: err.Error()}
}
