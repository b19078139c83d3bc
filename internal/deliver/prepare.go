package deliver

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-dev/sluice/internal/build"
	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/health"
	"github.com/sluice-dev/sluice/internal/object"
)

// build opens the bundle, reads the variables and makes the objects.
func (r *rollout) build(ctx context.Context) turn {
	bundle, err := r.Bundles.Open(ctx, r.source.Artifact)
	if errors.Is(err, ErrNoArtifact) {
		return r.awaits(ctx, event.OnSource, fmt.Sprintf("Source is not ready, artifact not found, retrying in %s", r.Policy.Recheck))
	}
	if err != nil {
		return turn{failed: &event.Failed{Step: event.StepBundle, Text: err.Error()}, retry: min(r.object.GetRetryInterval(), r.Policy.Recheck)}
	}
	values, t := r.values(ctx)
	if t.failed != nil {
		return t
	}
	built, err := r.Builds.Build(build.Bundle{FS: bundle.FS, Digest: bundle.Digest}, r.object, values, build.Options{Strict: r.Policy.Strict})
	if errors.Is(err, build.ErrNoPath) {
		return failing(event.StepBundle, err.Error())
	}
	if err != nil {
		return failing(event.StepBuild, err.Error())
	}
	r.built = built
	if r.wants != nil {
		r.wants(wantedOf(r.wish, built))
	}
	return onward
}

// values reads what postBuild.substituteFrom names, with the controller's own
// identity, as Flux does.
func (r *rollout) values(ctx context.Context) (build.Values, turn) {
	var values build.Values
	if r.object.Spec.PostBuild == nil {
		return values, onward
	}
	for _, ref := range r.object.Spec.PostBuild.SubstituteFrom {
		data, found, err := r.Values.Values(ctx, ref.Kind, r.object.Namespace, ref.Name)
		switch {
		case err != nil:
			return values, turn{
				failed: &event.Failed{Step: event.StepBuild, Text: fmt.Sprintf("substitute from '%s/%s' error: %v", ref.Kind, ref.Name, err)},
				retry:  min(r.object.GetRetryInterval(), r.Policy.Recheck),
			}
		case !found && ref.Optional:
		case !found:
			return values, failing(event.StepBuild, fmt.Sprintf(
				"substitute from '%s/%s' error: there is no %s %s/%s; create it, or mark it optional", ref.Kind, ref.Name, ref.Kind, r.object.Namespace, ref.Name))
		default:
			values.Sources = append(values.Sources, build.Source{Kind: ref.Kind, Name: ref.Name, Data: data, Secret: ref.Kind == "Secret"})
		}
	}
	return values, onward
}

// connect reaches the cluster that is applied to.
func (r *rollout) connect(ctx context.Context) turn {
	target, err := r.Targets.Target(ctx, r.object)
	if err != nil {
		return turn{
			failed: &event.Failed{Step: event.StepTarget, Text: fmt.Sprintf("failed to build kube client: %v", err)},
			retry:  min(r.object.GetRetryInterval(), r.Policy.Recheck),
		}
	}
	r.target = target
	return onward
}

// jobsWithTTL are the Jobs that remove themselves when they are done.
func (r *rollout) jobsWithTTL() map[object.ID]bool {
	jobs := map[object.ID]bool{}
	for id, u := range r.objects() {
		if health.HasTTL(u) {
			jobs[id] = true
		}
	}
	return jobs
}
