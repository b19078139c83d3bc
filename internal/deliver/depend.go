package deliver

import (
	"context"
	"fmt"
	"slices"
	"strings"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/ready"
)

// depend reads every dependency live, because a cache may still show an older
// generation as Ready, and waits until all are. They wake the roll-out by
// becoming Ready. What is delivered already does not wait for them: it is only
// looked at, as long as there is nothing to write.
func (r *rollout) depend(ctx context.Context) turn {
	r.blocked = false
	if len(r.object.Spec.DependsOn) == 0 {
		return onward
	}
	about, text := "cycle", ""
	if len(r.cycle) > 0 {
		text = fmt.Sprintf("dependency cycle: %s; none of these can start until one of these spec.dependsOn is removed", path(r.cycle))
	} else {
		peers, err := r.peers(ctx)
		if err != nil {
			return transient(event.StepPlan, err)
		}
		if r.hungry {
			r.follow(peers)
		}
		outcome, err := ready.Check(r.object, r.source.Artifact.Revision, peers, ready.Options{Additive: r.Policy.Additive})
		if err != nil {
			return stalled(event.StepExpr, fmt.Sprintf("%s: %v", terminal, err))
		}
		about, text = waits(slices.DeleteFunc(outcome.Waiting, func(w ready.Wait) bool { return r.onItsWay(peers[w.On]) }))
	}
	r.blocked = text != ""
	if !r.blocked || r.settled() && !r.pressing {
		return onward
	}
	return r.awaits(ctx, event.OnDependency, about, text)
}

// waits gives who is waited for, and what they say.
func waits(list []ready.Wait) (about, text string) {
	var names, texts []string
	for _, w := range list {
		names, texts = append(names, w.On.String()), append(texts, w.Why)
	}
	return strings.Join(names, " "), strings.Join(texts, "; ")
}

func (r *rollout) peers(ctx context.Context) (map[types.NamespacedName]*kustomizev1.Kustomization, error) {
	peers := map[types.NamespacedName]*kustomizev1.Kustomization{}
	for _, ref := range r.object.Spec.DependsOn {
		name := types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}
		if name.Namespace == "" {
			name.Namespace = r.object.Namespace
		}
		peer, err := r.Peers.Peer(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("reading dependency '%s': %w", name, err)
		}
		peers[name] = peer
	}
	return peers, nil
}

func path(names []types.NamespacedName) string {
	var text []string
	for _, n := range append(slices.Clip(names), names[0]) {
		text = append(text, n.String())
	}
	return strings.Join(text, " → ")
}
