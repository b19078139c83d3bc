package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/sluice-dev/sluice/internal/lab"
)

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
