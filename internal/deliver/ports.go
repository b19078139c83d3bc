package deliver

import (
	"context"
	"errors"
	"io/fs"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/health"
	"github.com/sluice-dev/sluice/internal/object"
	"github.com/sluice-dev/sluice/internal/plan"
)

// Bundles opens what a source published.
type Bundles interface {
	Open(ctx context.Context, a *meta.Artifact) (Bundle, error)
}

// Bundle is the content of an artifact.
type Bundle struct {
	FS fs.FS
	// Digest names the content: equal content has equal digests.
	Digest string
}

// Values reads ConfigMaps and Secrets that substitution takes variables from.
type Values interface {
	// Values gives the data of an object; found is false if it does not exist.
	Values(ctx context.Context, kind, namespace, name string) (data map[string]string, found bool, err error)
}

// Peers reads other Kustomizations, live.
type Peers interface {
	// Peer returns nil without an error if there is none.
	Peer(ctx context.Context, name types.NamespacedName) (*kustomizev1.Kustomization, error)
}

// Target is the cluster that a Kustomization is applied to, with the identity
// it is applied as.
type Target interface {
	// Kinds tells which of the objects' kinds nobody serves.
	Kinds(ctx context.Context, objects []*unstructured.Unstructured) (unserved map[object.ID]error, err error)
	// Observe learns what is live of the wanted objects. What is known to be as
	// wanted is not asked for, unless the knowledge is older than since; objects
	// that differ are applied in a dry-run.
	Observe(ctx context.Context, ask Ask) (map[object.ID]plan.Live, error)
	// Apply does a step that creates or updates and returns the live object. A
	// replacement only deletes: the object is created when it is gone.
	Apply(ctx context.Context, step plan.Step) (*unstructured.Unstructured, error)
	// Delete deletes what the step was decided on; gone already is no error.
	Delete(ctx context.Context, step plan.Step) error
	// Judge gives the health of objects, from watches where there are any. A
	// change of one of them wakes the owner, as long as it asks every few minutes.
	Judge(ctx context.Context, owner plan.Owner, checks []Check, rules *health.Rules) (map[object.ID]health.Verdict, error)
}

// Ask is what Observe has to know.
type Ask struct {
	Owner plan.Owner
	Want  []*unstructured.Unstructured
	// Stale are owned objects that are wanted no more.
	Stale []Check
	Rules plan.Rules
	// Since: what was learned before has to be verified with the server.
	Since time.Time
	// Quiet: look only at what is known already, and ask nobody. Objects of which
	// nothing is known are left out of the answer.
	Quiet bool
}

// Check is an object whose state is asked for.
type Check struct {
	object.ID
	Version string // may be empty: any version that is served
}

// Targets connects to clusters.
type Targets interface {
	// Target gives the cluster of a Kustomization, with its identity.
	Target(ctx context.Context, ks *kustomizev1.Kustomization) (Target, error)
}

// Claims knows what all Kustomizations want.
type Claims interface {
	// Claimed finds which of the objects the latest build of another
	// Kustomization wants, and gives its "namespace/name".
	Claimed(ctx context.Context, ks *kustomizev1.Kustomization, ids []object.ID) (map[object.ID]string, error)
}

// Journal writes down what happened to one Kustomization.
type Journal interface {
	// Begin starts a roll-out: what is recorded from now on is read on top of the
	// status as it is now.
	Begin(ks *kustomizev1.Kustomization)
	// Record adds an event and writes the status it leads to, if that differs,
	// before it returns. ErrOutdated means that the object was changed by
	// somebody else and the roll-out has to start again.
	Record(ctx context.Context, e event.Event) error
}

// ErrOutdated is returned by a Journal when the object is newer than what the
// roll-out was made for.
var ErrOutdated = errors.New("the object was changed meanwhile")

// ErrNoArtifact is returned by Bundles when an artifact is not there (any
// more): its source is about to publish another.
var ErrNoArtifact = errors.New("the artifact is not there")
