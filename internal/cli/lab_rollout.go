package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/internal/artifact"
	"github.com/sluice-dev/sluice/internal/fleet"
	"github.com/sluice-dev/sluice/internal/lab"
	"github.com/sluice-dev/sluice/internal/report"
)

// play delivers an example to a lab that is ready, and shows it until all
// Kustomizations of all clusters are.
func (f *upFlags) play(c *cobra.Command, std IO, l lab.Lab) error {
	e := *f.example
	ctx, cancel := context.WithTimeoutCause(c.Context(), f.timeout, fmt.Errorf("not everything is ready within %s", f.timeout))
	defer cancel()
	began := time.Now()
	pushed, err := e.publish(ctx, std, l.Registry)
	if err != nil {
		return err
	}
	clusters, err := e.install(ctx, l)
	if err != nil {
		return &Problem{Code: Negative, What: "preparing the clusters failed", Why: err, Do: []string{"sluice status --dir " + f.path}}
	}
	if err := rollOut(ctx, std, clusters, pushed, look(std, std.Err)); err != nil {
		p := &Problem{
			Code: TimedOut, What: fmt.Sprintf("the example in %s is not rolled out", e.dir), Why: err,
			Next: "the lab is left running; the controllers go on trying", Do: []string{"sluice status --dir " + f.path},
		}
		if ctx.Err() == nil {
			p.Code = Negative
		}
		return p
	}
	fmt.Fprintf(std.Err, "rolled out to %s after %.1fs\n", strings.Join(f.clusters, " and "), time.Since(began).Seconds())
	e.suggest(std, f.path, l.Registry)
	return nil
}

// install makes each cluster of the lab follow its part of the repository.
func (e example) install(ctx context.Context, l lab.Lab) ([]report.Named, error) {
	clusters := make([]report.Named, len(l.Clusters))
	errs := make([]error, len(l.Clusters))
	var running sync.WaitGroup
	for i, at := range l.Clusters {
		running.Go(func() {
			c, _ := e.cluster(at.Name)
			clusters[i].Name = at.Name
			if clusters[i].Client, errs[i] = connectTo(at); errs[i] != nil {
				return
			}
			if err := e.root(c, l.Registry).write(ctx, clusters[i].Client); err != nil {
				errs[i] = fmt.Errorf("in cluster %s: %w", at.Name, err)
			}
		})
	}
	running.Wait()
	return clusters, errors.Join(errs...)
}

// rollOut shows until every source has what was published under the tag that
// it follows, and every Kustomization what its source has. On a lab with an
// older state all may be ready before the new one is even seen.
func rollOut(ctx context.Context, std IO, clusters []report.Named, pushed map[string]published, view report.Options) error {
	for {
		if err := report.Rollout(ctx, std.Err, clusters, view); err != nil {
			return err
		}
		again := false
		for _, c := range clusters {
			waited, err := awaitSources(ctx, c, pushed)
			if err != nil {
				return fmt.Errorf("watching %s: %w", c.Name, err)
			}
			again = again || waited
		}
		if !again {
			return nil
		}
	}
}

// awaitSources waits until no source has an older artifact than was pushed, and
// tells whether it had to.
func awaitSources(ctx context.Context, c report.Named, pushed map[string]published) (waited bool, err error) {
	late := ""
	err = report.Watch(ctx, c.Client, report.Scope{}, 0, func(s report.Snapshot) (bool, error) {
		late = ""
		for _, o := range s.Sources {
			if o, ok := o.(*sourcev1.OCIRepository); ok && isLate(o, pushed[o.Spec.URL]) {
				late = o.Namespace + "/" + o.Name
			}
		}
		waited = waited || late != ""
		return late == "", nil
	})
	if err != nil && late != "" {
		err = fmt.Errorf("%s has not seen what was published: %w", late, err)
	}
	return waited, err
}

// isLate tells whether a source holds nothing yet, or an older content of a tag
// that was pushed. One that has gone on to a higher tag is not late.
func isLate(o *sourcev1.OCIRepository, p published) bool {
	if p.digest == "" || o.Spec.Suspend {
		return false
	}
	if o.Status.Artifact == nil {
		return true
	}
	revision := artifact.Revision(o.Status.Artifact.Revision)
	return slices.Contains(p.tags, revision.Tag()) && revision.Digest() != p.digest
}

// suggest prints what to try next.
func (e example) suggest(std IO, dir, registry string) {
	for i, s := range e.Try {
		if i == 0 {
			fmt.Fprintln(std.Err, "\nThings to try:")
		}
		run := fleet.Expand(s.Run, map[string]string{registryVariable: registry, "LAB": dir, "DIR": filepath.Clean(e.dir)})
		if rest, found := strings.CutPrefix(run, "sluice "); found {
			run = os.Args[0] + " " + rest // as they called us
		}
		fmt.Fprintf(std.Err, "\n  %s\n    %s\n", s.Say, strings.ReplaceAll(strings.TrimSpace(run), "\n", "\n    "))
	}
}
