package deliver

import (
	"context"
	"strings"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
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
	hungry  bool      // newer revisions kept it from being Ready for too long
	held    bool      // this revision is finished before a newer is begun
	seen    history

	silent bool // only to know what is wanted: nothing is recorded
	wants  func(*Wanted)
	fought func(object.ID) bool // its drift was reversed again and again

	at         int // step
	rules      *health.Rules
	target     Target
	built      *build.Result
	own        inventory.Inventory
	in         plan.Input
	plan       plan.Plan
	stage      int
	stageBegun time.Time
	stageWrote bool
	again      map[object.ID]bool // to be observed again before the stage goes on
	announced  bool
	applied    bool // the writes are done, health is waited for
	checking   time.Time
	warned     map[string]bool
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

// turn is what came of a step: nothing means go on.
type turn struct {
	wait   bool
	until  time.Time // of a wait: when to look again if nothing wakes it
	failed *event.Failed
	retry  time.Duration // of a failure; zero is the retry interval
	err    error         // of the journal
}

var onward = turn{}

func waitUntil(t time.Time) turn { return turn{wait: true, until: t} }

func failing(step event.Step, text string) turn {
	return turn{failed: &event.Failed{Step: step, Text: text}}
}

func stalled(step event.Step, text string) turn {
	return turn{failed: &event.Failed{Step: step, Text: text, Stalled: true}}
}

func (r *rollout) step() string {
	if r.at < len(steps) {
		return steps[r.at].name
	}
	return ""
}

// holds tells whether this roll-out must not be superseded by a newer revision.
func (r *rollout) holds(time.Time) bool { return r.held }

func (r *rollout) record(ctx context.Context, e event.Event) error {
	e.At = time.Now()
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

// mask takes values that came out of Secrets out of a text.
func (r *rollout) mask(text string) string {
	if r.built != nil {
		for _, value := range r.built.Secrets {
			text = strings.ReplaceAll(text, value, "*****")
		}
	}
	return text
}

// warn tells something once for each revision.
func (r *rollout) warn(ctx context.Context, reason, text string) error {
	key := reason + "\x00" + r.wish.revision + "\x00" + text
	if r.warned[key] {
		return nil
	}
	if r.warned == nil {
		r.warned = map[string]bool{}
	}
	r.warned[key] = true
	return r.record(ctx, event.Event{Warned: &event.Warned{Reason: reason, Text: r.mask(text)}})
}

func (r *rollout) objects() map[object.ID]*unstructured.Unstructured {
	byID := make(map[object.ID]*unstructured.Unstructured, len(r.built.Objects))
	for _, u := range r.built.Objects {
		byID[object.IDOf(u)] = u
	}
	return byID
}

// finalInventory is what is owned when everything is done: what is wanted, and
// what is wanted no more but stays because prune is off.
func (r *rollout) finalInventory() inventory.Inventory { return r.plan.Inventory() }

func items(inv inventory.Inventory) []event.Item {
	list := []event.Item{}
	for _, e := range inv.Entries() {
		list = append(list, event.Item{ID: inventory.Key(e.ID), Version: e.Version})
	}
	return list
}
