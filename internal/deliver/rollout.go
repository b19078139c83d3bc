package deliver

import (
	"context"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/internal/build"
	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/health"
	"github.com/sluice-dev/sluice/internal/inventory"
	"github.com/sluice-dev/sluice/internal/object"
	"github.com/sluice-dev/sluice/internal/plan"
)

// rollout is one revision on its way.
type rollout struct {
	*Engine
	journal Journal
	object  *kustomizev1.Kustomization
	source  Source
	cycle   []types.NamespacedName
	wish    wish
	started time.Time
	verify  time.Time // what was learned of the cluster before has to be verified
	first   bool      // the first roll-out for this wish
	fresh   bool      // nothing has failed before it

	// Of the delivery, shared by its roll-outs.
	seen   *history
	warned *warnings
	said   *utterance
	wants  func(*Wanted)
	fought func(object.ID) bool // its drift was reversed again and again

	at       int  // step
	troubles int  // times that this step was tried again without a word
	hungry   bool // newer revisions kept it from being Ready for too long
	followed bool // the dependencies' revision was taken in place of the newest
	blocked  bool // a dependency is not Ready: only what is there may be looked at
	pressing bool // there is something to write

	rules  *health.Rules
	built  *build.Result
	target Target
	own    inventory.Inventory
	in     plan.Input
	plan   plan.Plan
	aged   bool // something happened since the plan was computed

	announced  bool
	stage      int
	stageBegun time.Time
	stageWrote bool
	writing    bool               // the stage is half written
	again      map[object.ID]bool // to be observed again before the stage goes on
	replaced   map[object.ID]int
	applied    bool // the writes are done, health is waited for
	pruned     bool // pruning was tried
	handed     []inventory.Entry
	checking   time.Time
	unchecked  bool // health is left to what attends
}

// steps is the path of data. Every step does what can be done now.
var steps = []struct {
	name string
	do   func(*rollout, context.Context) turn
}{
	{"accept", (*rollout).accept},      // spec: what this version cannot do, expressions
	{"source", (*rollout).awaitSource}, // is there an artifact
	{"depend", (*rollout).depend},      // are the dependencies Ready
	{"build", (*rollout).build},        // bundle, variables -> objects
	{"connect", (*rollout).connect},    // kubeConfig, service account -> target
	{"plan", (*rollout).decide},        // observe, plan.Compute, guards
	{"announce", (*rollout).announce},  // inventory and conditions, before the first write
	{"apply", (*rollout).apply},        // stage by stage
	{"prune", (*rollout).prune},        // what is wanted no more
	{"check", (*rollout).check},        // until healthy
	{"conclude", (*rollout).conclude},  // the exact inventory and the outcome
}

// record writes an event down; an event that is no wait ends what was said of
// one.
func (r *rollout) record(ctx context.Context, e event.Event) error {
	e.At = time.Now()
	if e.Waiting == nil && e.Warned == nil {
		*r.said = utterance{}
	}
	return r.journal.Record(ctx, e)
}

func (r *rollout) owner() plan.Owner {
	return plan.Owner{Namespace: r.object.Namespace, Name: r.object.Name}
}

func (r *rollout) attempt() *event.Attempt {
	a := r.source.Artifact
	if a == nil {
		return &event.Attempt{}
	}
	attempt := &event.Attempt{Revision: a.Revision, Origin: originOf(a)}
	if r.built != nil {
		attempt.Digest = r.built.Digest
	}
	return attempt
}

// settled tells whether the status says that this very revision of this very
// spec is delivered.
func (r *rollout) settled() bool {
	s, a := r.object.Status, r.source.Artifact
	return a != nil && s.LastAppliedRevision == a.Revision && s.ObservedGeneration == r.object.Generation &&
		apimeta.IsStatusConditionTrue(s.Conditions, meta.ReadyCondition)
}

func (r *rollout) objects() map[object.ID]*unstructured.Unstructured {
	byID := make(map[object.ID]*unstructured.Unstructured, len(r.built.Objects))
	for _, u := range r.built.Objects {
		byID[object.IDOf(u)] = u
	}
	return byID
}

func items(inv inventory.Inventory) []event.Item {
	list := []event.Item{}
	for _, e := range inv.Entries() {
		list = append(list, event.Item{ID: inventory.Key(e.ID), Version: e.Version})
	}
	return list
}
