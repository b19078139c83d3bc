package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/internal/lab"
)

type demoFlags struct {
	path    string
	example string
	timeout time.Duration
}

func newDemo(std IO) *cobra.Command {
	var f demoFlags
	c := &cobra.Command{
		Use:   "demo",
		Short: "Play deliveries that work, break and heal, and check each of them",
		Long: `Play the story of a service on a lab of its own: releases and pre-releases, a
change of configuration, a hand edit, a broken release, a controller that is
killed and a registry that goes away. Every step is checked against what runs in
the clusters. The exit code is 1 if anything is not as it should be.

The lab is stopped at the end. Without --dir its directory is removed too, unless
a check failed: then its logs are there.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c, std) },
	}
	flags := c.Flags()
	flags.StringVar(&f.path, "dir", "", "directory for the lab, empty or new; a temporary one unless given")
	flags.StringVar(&f.example, "example", filepath.Join("examples", "infra"), "directory of the example that the story is about")
	flags.DurationVar(&f.timeout, "timeout", 15*time.Minute, "how long the whole story may take")
	return c
}

func (f *demoFlags) run(c *cobra.Command, std IO) error {
	e, err := openExample(f.example)
	if err != nil {
		return err
	}
	for _, name := range []string{"staging", "production"} {
		if _, found := e.cluster(name); !found {
			return usage(c, fmt.Sprintf("--example: %s has no cluster %s; the story is about %s", f.example, name, filepath.Join("examples", "infra")))
		}
	}
	sluice, simulator, err := binaries(std)
	if err != nil {
		return err
	}
	dir, done, err := f.directory()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(c.Context(), f.timeout, fmt.Errorf("the story is not over after %s", f.timeout))
	defer cancel()
	began := time.Now()
	fmt.Fprintf(std.Err, "playing on a lab in %s\n", dir)
	p := &performance{std: std, began: began, over: make(chan struct{})}
	err = lab.Up(ctx, lab.Options{
		Dir: dir, Clusters: []string{"staging", "production"}, Controllers: true, Sluice: sluice, Lab: simulator, Timeout: f.timeout,
		Progress: func(lab.ProgressEntry) {},
	}, func(l lab.Lab) {
		p.row("the lab starts: two clusters, a registry, two controllers", time.Since(began), nil)
		go func() {
			defer cancel() // the lab stops
			defer close(p.over)
			p.play(ctx, dir, l, e)
		}()
	})
	if len(p.rows) > 0 {
		<-p.over
	}
	if err := c.Context().Err(); err != nil {
		return errors.Join(err, done(nil)) // interrupted: nothing is left to look at
	}
	if err == nil && len(p.rows) == 0 {
		err = context.Cause(ctx)
	}
	if err != nil {
		return labProblem("the lab did not start or did not stop", dir, err)
	}
	return done(p.conclude(dir))
}

// directory is where the lab lives; done is told how the story went.
func (f *demoFlags) directory() (lab.Dir, func(error) error, error) {
	if f.path == "" {
		path, err := os.MkdirTemp("", "sluice-demo-")
		if err != nil {
			return "", nil, &Problem{Code: codeOf(err), What: "making a directory for the lab failed", Why: err}
		}
		return lab.Dir(path), func(err error) error {
			if err == nil {
				return os.RemoveAll(path)
			}
			return err
		}, nil
	}
	dir, err := lab.Open(f.path)
	if err != nil {
		return "", nil, err
	}
	if _, err := dir.State(); err == nil {
		return "", nil, &Problem{
			Code: Conflict, What: fmt.Sprintf("there is a lab in %s already", f.path), Why: errors.New("the story begins with an empty one"),
			Do: []string{"use another --dir", "sluice down --delete --dir " + f.path},
		}
	}
	return dir, func(err error) error { return err }, nil
}
