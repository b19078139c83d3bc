package report

import (
	"strings"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/internal/ready"
)

// Wait is a dependency that is waited for.
type Wait struct {
	On  string `json:"on"` // "namespace/name"
	Why string `json:"why"`
}

// waitsFor asks what the controller asks of dependencies. known is false if not
// all of them were read: then the message of the condition has to do.
func waitsFor(s Snapshot, r Row) (waits []Wait, known bool) {
	ks, _ := s.Find(r.Kind, types.NamespacedName{Namespace: r.Namespace, Name: r.Name}).(*kustomizev1.Kustomization)
	if ks == nil || r.State != Waiting && r.State != Progressing {
		return nil, true
	}
	peers := map[types.NamespacedName]*kustomizev1.Kustomization{}
	for _, name := range dependencies(ks) {
		if s.Namespace != "" && name.Namespace != s.Namespace {
			return nil, false
		}
		peers[name], _ = s.Find(r.Kind, name).(*kustomizev1.Kustomization)
	}
	a := artifactOf(s.source(SourceOf(ks)))
	if a == nil {
		return nil, false
	}
	outcome, err := ready.Check(ks, a.Revision, peers, ready.Options{})
	if err != nil {
		return nil, false
	}
	for _, w := range outcome.Waiting {
		waits = append(waits, Wait{On: w.On.String(), Why: Brief(w.Why)})
	}
	return waits, true
}

// explain says in a row what it waits for now, in place of what its status said
// some time ago.
func explain(s Snapshot, r *Row, states map[string]State) {
	started := r.Reason == meta.ProgressingReason // what began is not stopped
	if started || r.State != Waiting && r.State != Progressing {
		return
	}
	waits, known := waitsFor(s, *r)
	switch {
	case len(waits) > 0:
		r.Note = waitNote(r.Namespace, waits, states)
	case known && r.Reason == meta.DependencyNotReadyReason && r.State == Waiting:
		r.Note = "about to start"
	}
}

func waitNote(namespace string, waits []Wait, states map[string]State) string {
	var names []string
	for _, w := range waits {
		name := strings.TrimPrefix(w.On, namespace+"/")
		switch state, found := states[w.On]; {
		case !found:
			name += " (missing)"
		case state == Ready:
			name += " (older revision)"
		default:
			name += " (" + string(state) + ")"
		}
		names = append(names, name)
	}
	return "waits for " + strings.Join(names, ", ")
}
