package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
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

// performance plays the checks and keeps how they went.
type performance struct {
	std    IO
	began  time.Time
	rows   [][]string
	passed int
	over   chan struct{} // closed when the last check is made
	failed *check
	why    error
}

func (p *performance) play(ctx context.Context, dir lab.Dir, l lab.Lab, e example) {
	var running sync.WaitGroup
	defer running.Wait()
	inner, stop := context.WithCancel(ctx)
	defer stop()
	s, err := open(inner, &running, p.std, dir, l, e)
	for _, c := range checks {
		began := time.Now()
		if err == nil {
			err = c.run(s, inner)
		}
		p.row(c.name, time.Since(began), err)
		if err != nil {
			p.failed, p.why = &c, err
			return
		}
		p.passed++
	}
}

// row notes a step and says it.
func (p *performance) row(name string, took time.Duration, err error) {
	verdict := "ok"
	if err != nil {
		verdict = "FAILED"
	}
	fmt.Fprintf(p.std.Err, "%6.1fs  %-6s  %s\n", time.Since(p.began).Seconds(), verdict, name)
	p.rows = append(p.rows, []string{fmt.Sprintf("%.1f", took.Seconds()), verdict, name})
}

// open sets the scene: watches of all clusters, and a copy of the bundle.
func open(ctx context.Context, running *sync.WaitGroup, std IO, dir lab.Dir, l lab.Lab, e example) (*story, error) {
	s := &story{
		scene: &scene{stages: map[string]*stage{}, changed: make(chan struct{}, 1)},
		std:   std, example: e, dir: dir, lab: l,
	}
	for _, at := range l.Clusters {
		c, err := connectTo(at)
		if err != nil {
			return nil, err
		}
		s.stages[at.Name] = &stage{WithWatch: c, name: at.Name, changed: s.changed}
		if err := s.stages[at.Name].open(ctx, running); err != nil {
			return nil, err
		}
	}
	var err error
	s.shop, err = e.workshop(std, l.Registry, filepath.Join(string(dir), "bundle"))
	return s, err
}

// conclude prints the table and the verdict.
func (p *performance) conclude(dir lab.Dir) error {
	for _, c := range checks[len(p.rows)-1:] { // the first row is the lab
		p.rows = append(p.rows, []string{"", "-", c.name})
	}
	err := table(p.std.Out, []string{"SECONDS", "RESULT", "CHECK"}, p.rows)
	if err == nil {
		_, err = fmt.Fprintf(p.std.Out, "\n%.0f seconds in all\ndemo: %d of %d checks passed\n", time.Since(p.began).Seconds(), p.passed, len(checks))
	}
	if p.failed == nil {
		return err
	}
	return &Problem{
		Code: Negative, What: "check failed: " + p.failed.name, Why: p.why, Next: "nothing: the lab is stopped",
		Do: []string{"read the logs in " + filepath.Join(string(dir), "logs")},
	}
}
