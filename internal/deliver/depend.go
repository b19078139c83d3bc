package deliver

import (
	"context"
	"fmt"
	"strings"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/ready"
)

// depend reads every dependency live, because a cache may still show an older
// generation as Ready, and waits until all are. They wake the roll-out by
// becoming Ready.
func (r *rollout) depend(ctx context.Context) turn {
	if len(r.object.Spec.DependsOn) == 0 {
		return onward
	}
	if len(r.cycle) > 0 {
		return r.awaits(ctx, event.OnDependency, fmt.Sprintf(
			"dependency cycle: %s; none of these can start until one of these spec.dependsOn is removed", path(r.cycle)))
	}
	peers, err := r.peers(ctx)
	if err != nil {
		return turn{failed: &event.Failed{Step: event.StepPlan, Text: err.Error()}, retry: pause(0)}
	}
	if r.hungry {
		r.follow(peers)
	}
	outcome, err := ready.Check(r.object, r.source.Artifact.Revision, peers, ready.Options{Additive: r.Policy.Additive})
	if err != nil {
		return stalled(event.StepExpr, fmt.Sprintf("%s: %v", terminal, err))
	}
	if len(outcome.Waiting) > 0 {
		var texts []string
		for _, w := range outcome.Waiting {
			texts = append(texts, w.Why)
		}
		return r.awaits(ctx, event.OnDependency, strings.Join(texts, "; "))
	}
	return onward
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

// follow takes the revision that the dependencies have arrived at in place of
// the newest, which they may never have arrived at when it is replaced every
// few seconds. The order of the chain holds for the revision that is taken.
func (r *rollout) follow(peers map[types.NamespacedName]*kustomizev1.Kustomization) {
	revision := ""
	for _, peer := range peers {
		if peer == nil || !sameSource(peer, r.object) {
			continue
		}
		arrived := peer.Status.LastAppliedRevision
		if revision != "" && revision != arrived {
			return
		}
		revision = arrived
	}
	a := r.seen.of(revision)
	if a == nil || revision == r.object.Status.LastAppliedRevision {
		return
	}
	r.source.Artifact, r.held = a, true
}

func sameSource(a, b *kustomizev1.Kustomization) bool {
	x, y := a.Spec.SourceRef, b.Spec.SourceRef
	if x.Namespace == "" {
		x.Namespace = a.Namespace
	}
	if y.Namespace == "" {
		y.Namespace = b.Namespace
	}
	return x.Kind == y.Kind && x.Name == y.Name && x.Namespace == y.Namespace
}

func path(names []types.NamespacedName) string {
	var text []string
	for _, n := range append(names, names[0]) {
		text = append(text, n.String())
	}
	return strings.Join(text, " → ")
}
