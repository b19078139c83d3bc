// Package plan decides what will be done to a cluster.
//
// In: the objects that are wanted, the inventory, what is live, the rules of
// the Kustomization. Out: a Plan: stages of steps, in order, each with its
// reason. It is pure: it asks nobody and does nothing. Nothing is ever written
// to a cluster but the steps of a Plan.
package plan

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"

	"github.com/sluice-dev/sluice/internal/diff"
	"github.com/sluice-dev/sluice/internal/inventory"
	"github.com/sluice-dev/sluice/internal/object"
)

// Manager is the field manager of every apply: Flux's, so that ownership of
// fields stays where it is when an object changes hands.
const Manager = "kustomize-controller"

// Action is what a step does.
type Action string

// The actions of steps. Create, Update, Replace and Delete write.
const (
	Create  Action = "create"
	Update  Action = "update"
	Replace Action = "replace" // delete, wait until it is gone, create
	Delete  Action = "delete"
	Keep    Action = "keep"   // live is as wanted
	Skip    Action = "skip"   // opted out by a label or annotation; Why names it
	Defer   Action = "defer"  // known only when an earlier stage is done; Why says what for
	Refuse  Action = "refuse" // the API server or a rule of ours would not have it; Err says why
)

// Writes tells whether a step with this action changes the cluster.
func (a Action) Writes() bool {
	return a == Create || a == Update || a == Replace || a == Delete
}

// Step is what happens to one object.
type Step struct {
	ID      object.ID `json:"id"`
	Version string    `json:"version"`
	Action  Action    `json:"action"`
	Why     string    `json:"why,omitempty"`
	// Changes are the fields that an update or replacement changes; values of
	// Secrets are masked.
	Changes []diff.Change `json:"changes,omitempty"`
	// UID and ResourceVersion of the live object that the step was decided on.
	UID             string `json:"uid,omitempty"`
	ResourceVersion string `json:"resourceVersion,omitempty"`

	// Send is the body of the apply; nil for a deletion.
	Send *unstructured.Unstructured `json:"-"`
	// Cleanup is a JSON patch that removes what other managers left, to be sent
	// before the apply; empty if there is nothing to remove.
	Cleanup []byte `json:"-"`
	// Err is why a step is refused, as the API server said it.
	Err error `json:"-"`
}

// Stage is a set of steps between which there is no order.
type Stage struct {
	Name  string `json:"name"`
	Steps []Step `json:"steps"`
	// Wait: what the stage applied has to be established before the next begins.
	Wait bool `json:"wait,omitempty"`
}

// Plan is all that will be done for one revision of a Kustomization.
type Plan struct {
	Owner    Owner   `json:"owner"`
	Revision string  `json:"revision,omitempty"`
	Stages   []Stage `json:"stages"`
	// Prune are the objects of the inventory that are not wanted any more, in
	// the order of their removal: deletions, and those that stay with a reason.
	Prune []Step `json:"prune,omitempty"`
	// Held says why nothing of the plan may be done; empty if it may.
	Held string `json:"held,omitempty"`
	// Notes are what a reader should know and nobody would otherwise say.
	Notes []string `json:"notes,omitempty"`
}

// Owner is the Kustomization that a plan is for.
type Owner struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// Rules are the parts of a Kustomization and of the flags that change how
// objects are applied.
type Rules struct {
	Force  bool
	Prune  bool
	Ignore []kustomizev1.IgnoreRule
	// StageKinds are applied in a stage of their own (--custom-apply-stage-kinds).
	StageKinds map[schema.GroupKind]struct{}
	// OverrideManagers are field managers whose fields are taken over
	// (--override-manager).
	OverrideManagers  []string
	MigrateAPIVersion bool
	// AllowEmpty lets an empty build prune everything.
	AllowEmpty bool
}

// Live is what is known of an object in the cluster.
type Live struct {
	// Converged: the object is known to be what is wanted; nothing was asked.
	Converged bool
	// Owner is whom the live object's labels name, where that is known without
	// its body.
	Owner Owner
	// Object is the live object; nil if it is not there.
	Object *unstructured.Unstructured
	// Merged is what applying would make of it, by a dry-run; nil if none was made.
	Merged *unstructured.Unstructured
	// Refused is why the dry-run was refused.
	Refused error
	// Replaceable: the dry-run was refused because a field cannot be changed, and
	// creating the new object in its place would be accepted.
	Replaceable bool
	// Unserved: no server knows the kind.
	Unserved bool
	// Failed is why the object could not be observed.
	Failed error
}

// Input is what a plan is computed from.
type Input struct {
	Owner    Owner
	Revision string
	// Want are the objects as package build gives them: normalised and labelled.
	Want []*unstructured.Unstructured
	// Empty says that nothing at all was found at the path (not an explicit
	// empty list).
	Empty bool
	// Own is the inventory.
	Own inventory.Inventory
	// Live has an entry for every wanted object and for every owned one that is
	// wanted no more.
	Live map[object.ID]Live
	// Claimed are objects that the latest build of another Kustomization wants,
	// with its "namespace/name": they are handed over, never pruned.
	Claimed map[object.ID]string
	// Done are wanted Jobs that have run for what is wanted and removed
	// themselves since (ttlSecondsAfterFinished): they are skipped when they are
	// not there.
	Done  map[object.ID]bool
	Rules Rules
}
