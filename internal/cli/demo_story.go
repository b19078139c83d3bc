package cli

import (
	"context"
	"fmt"
	"strings"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/lab"
)

// check is a step of the story; it fails if anything is not as its name says.
type check struct {
	name string
	run  func(*story, context.Context) error
}

// checks are the story.
var checks = []check{
	{"both environments converge, in the order of the chain", (*story).converge},
	{"each has its own settings, and staging a part that production lacks", (*story).settings},
	{"a pre-release tagged for staging reaches staging only", (*story).prerelease},
	{"a stable release reaches both", (*story).stable},
	{"one push changes configuration and image together", (*story).together},
	{"the same content under a new digest writes nothing", (*story).sameContent},
	{"an object that is removed from the bundle is pruned", (*story).pruned},
	{"a hand edit is reverted", (*story).handEdit},
	{"a broken release changes nothing that runs, and says why", (*story).broken},
	{"the next good release goes out at once", (*story).mended},
	{"suspend holds, resume releases", (*story).suspend},
	{"a controller killed in mid-roll-out finishes after its restart", (*story).killed},
	{"the registry goes away and comes back", (*story).registryAway},
	{"no roll-out began before its dependencies were ready", (*story).order},
}

// story is what the checks share.
type story struct {
	*scene
	std     IO
	example example
	dir     lab.Dir
	lab     lab.Lab
	shop    *workshop
	now     edition // what the clusters run
}

func (s *story) staging() *stage    { return s.stages["staging"] }
func (s *story) production() *stage { return s.stages["production"] }

// arrive waits until all stages that should take a version run it.
func (s *story) arrive(ctx context.Context, v edition) error {
	s.now = v
	return s.until(ctx, func() string {
		for _, st := range s.stages {
			if v.tag(st.name) != "" {
				if why := st.behind(v); why != "" {
					return why
				}
			}
		}
		return ""
	})
}

func (s *story) converge(ctx context.Context) error {
	pushed, err := s.example.publish(ctx, IO{Err: discard{}, Getenv: s.std.Getenv, Version: s.std.Version}, s.lab.Registry)
	if err != nil {
		return err
	}
	for _, st := range s.stages {
		c, _ := s.example.cluster(st.name)
		if err := s.example.root(c, s.lab.Registry).write(ctx, st); err != nil {
			return fmt.Errorf("in cluster %s: %w", st.name, err)
		}
	}
	p := pushed[s.shop.url]
	v := edition{stable: p.tags[0], staging: p.tags[1], digest: p.digest}
	if err := s.arrive(ctx, v); err != nil {
		return err
	}
	err = s.until(ctx, func() string { return s.staging().unready() + s.production().unready() })
	if err != nil {
		return err
	}
	for _, st := range s.stages {
		if n := len(all[*kustomizev1.Kustomization](st)); st.order.begun < n {
			return fmt.Errorf("%s has %d Kustomizations, but only %d roll-outs were seen", st.name, n, st.order.begun)
		}
	}
	return s.order(ctx)
}

func (s *story) order(context.Context) error {
	for _, st := range s.stages {
		if wrong := st.violations(); len(wrong) > 0 {
			return fmt.Errorf("in %s %s", st.name, strings.Join(wrong, "; "))
		}
	}
	return nil
}

func (s *story) settings(context.Context) error {
	for name, replicas := range map[string]int32{"staging": 1, "production": 3} {
		d := s.stages[name].deployment(apiserver)
		if got := *d.Spec.Replicas; got != replicas {
			return fmt.Errorf("in %s %s has %d replicas, not %d", name, apiserver, got, replicas)
		}
		for _, e := range d.Spec.Template.Spec.Containers[0].Env {
			if e.Name == "ENVIRONMENT" && e.Value != name {
				return fmt.Errorf("in %s %s is told that it is in %q", name, apiserver, e.Value)
			}
		}
		const only = "activity-load-generator"
		if there := s.stages[name].deployment(only) != nil; there != (name == "staging") {
			return fmt.Errorf("%s is in %s: %t", only, name, there)
		}
	}
	return nil
}

func (s *story) prerelease(ctx context.Context) error {
	before := s.now
	v, err := s.shop.prerelease(ctx, "v1.1.0")
	if err != nil {
		return err
	}
	if err := s.arrive(ctx, v); err != nil {
		return err
	}
	if err := s.runEverywhere(s.staging(), "v1.1.0"); err != nil {
		return err
	}
	// Production has looked since, and stays where it was.
	if err := s.look(ctx, s.production()); err != nil {
		return err
	}
	if why := s.production().behind(edition{stable: before.stable, digest: before.digest}); why != "" {
		return fmt.Errorf("production has moved: %s", why)
	}
	return s.runEverywhere(s.production(), "v1.0.0")
}

// look lets the source of a stage look at the registry and waits until it has.
func (s *story) look(ctx context.Context, st *stage) error {
	token := metav1.Now().Format("20060102150405.000000000")
	patch := fmt.Sprintf(`{"metadata":{"annotations":{"reconcile.fluxcd.io/requestedAt":%q}}}`, token)
	if err := st.Patch(ctx, st.source().DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
		return err
	}
	return s.until(ctx, func() string {
		if st.source().Status.LastHandledReconcileAt != token {
			return "the source in " + st.name + " has not looked"
		}
		return ""
	})
}

// runEverywhere checks the image of everything that the service runs.
func (s *story) runEverywhere(st *stage, tag string) error {
	for _, name := range []string{apiserver, processor} {
		if got, want := runs(st.deployment(name)), activityImage+":"+tag; got != want {
			return fmt.Errorf("in %s %s runs %s, not %s", st.name, name, got, want)
		}
	}
	return nil
}

func (s *story) stable(ctx context.Context) error {
	v, err := s.shop.release(ctx, "v1.1.0")
	if err != nil {
		return err
	}
	if err := s.arrive(ctx, v); err != nil {
		return err
	}
	for _, st := range s.stages {
		if err := s.runEverywhere(st, "v1.1.0"); err != nil {
			return err
		}
	}
	return nil
}

// discard takes what nobody has to read.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
