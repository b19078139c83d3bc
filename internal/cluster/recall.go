package cluster

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"

	"github.com/sluice-dev/sluice/internal/deliver"
	"github.com/sluice-dev/sluice/internal/object"
	"github.com/sluice-dev/sluice/internal/plan"
)

// recall answers an Ask from what is known, and asks nobody. Objects of which
// nothing is known, or that opted out, are left out. The object of an answer is
// only its identity.
func (t *Target) recall(ask deliver.Ask) map[object.ID]plan.Live {
	found := map[object.ID]plan.Live{}
	for _, want := range ask.Want {
		r, ok := t.c.served.recall(want.GroupVersionKind())
		if !ok || plan.Left(want, nil) != "" {
			continue
		}
		want := scoped(r, want)
		w := t.known(r, want.GetNamespace())
		if w == nil {
			continue
		}
		e, known := w.get(keyOf(want))
		switch {
		case !known:
			found[object.IDOf(want)] = plan.Live{}
		case e.record.Converged(want, ask.Rules, e.applied):
			found[object.IDOf(want)] = plan.Live{Converged: true, Owner: e.record.Owner}
		case !leftAlone(e.record):
			found[object.IDOf(want)] = plan.Live{Object: shadow(want, e.record), Owner: e.record.Owner}
		}
	}
	return found
}

func leftAlone(r plan.Record) bool {
	return r.Policy["reconcile"] == kustomizev1.DisabledValue || r.Policy["ssa"] == "ignore"
}

// shadow is what is left of an object in a record.
func shadow(want *unstructured.Unstructured, r plan.Record) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(want.GroupVersionKind())
	u.SetNamespace(want.GetNamespace())
	u.SetName(want.GetName())
	u.SetUID(types.UID(r.UID))
	u.SetResourceVersion(r.ResourceVersion)
	return u
}
