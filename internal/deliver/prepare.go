package deliver

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-dev/sluice/internal/build"
	"github.com/sluice-dev/sluice/internal/event"
)

// build opens the bundle, reads the variables and makes the objects.
func (r *rollout) build(ctx context.Context) turn {
	bundle, err := r.Bundles.Open(ctx, r.source.Artifact)
	if errors.Is(err, ErrNoArtifact) {
		return r.lostArtifact(ctx)
	}
	if err != nil {
		return transient(event.StepBundle, err)
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

// lostArtifact waits for another artifact. What runs as it should is not said to
// be in want of anything before that has lasted a while.
func (r *rollout) lostArtifact(ctx context.Context) turn {
	text := fmt.Sprintf("Source is not ready, artifact not found, retrying in %s", r.Policy.Recheck)
	if r.followed { // an older one than the newest: only the source could have kept it
		r.followed = false
		r.seen.drop(r.source.Artifact)
	}
	if r.settled() && r.mayHush() {
		return transient(event.StepBundle, errors.New(text))
	}
	return r.awaits(ctx, event.OnSource, "artifact", text)
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
			return values, transient(event.StepBuild, fmt.Errorf("substitute from '%s/%s' error: %w", ref.Kind, ref.Name, err))
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
		t := failing(event.StepTarget, fmt.Sprintf("failed to build kube client: %v", err))
		t.soon = true
		return t
	}
	r.target = target
	return onward
}
