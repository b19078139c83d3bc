package deliver

import (
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-dev/sluice/internal/build"
)

// Engine is what all deliveries share.
type Engine struct {
	Builds  *build.Cache
	Bundles Bundles
	Values  Values
	Peers   Peers
	Targets Targets
	Claims  Claims
	Policy  Policy
}

// Policy holds flags and gates.
type Policy struct {
	// Strict: an undefined variable fails the build (gate
	// StrictPostBuildSubstitutions).
	Strict bool
	// Additive: a readyExpr is checked beside the built-in rule, not instead
	// (gate AdditiveCELDependencyCheck).
	Additive bool
	// Supersede: a newer revision ends the wait for an older one (gate
	// CancelHealthCheckOnNewRevision).
	Supersede bool
	// FailFast: a Failed object ends the wait for the others (gate
	// DisableFailFastBehavior, inverted).
	FailFast bool
	// Reverse: drift is reversed when it is seen, not only at the interval.
	Reverse bool
	// Recheck is when something that an event should announce is looked at
	// anyway (--requeue-dependency).
	Recheck time.Duration
	// Spread moves the time of the next run by up to this share of the interval.
	Spread func(time.Duration) time.Duration

	Apply ApplyPolicy
}

// ApplyPolicy holds the flags that change how objects are applied.
type ApplyPolicy struct {
	StageKinds        map[schema.GroupKind]struct{}
	OverrideManagers  []string
	MigrateAPIVersion bool
	// Concurrent is how many objects of one stage are written at a time.
	Concurrent int
}

// pause is how long to wait before what failed outside of the user's reach is
// tried again.
func pause(failures int) time.Duration {
	return min(time.Second<<min(failures, 5), 30*time.Second)
}

// soonest is the earlier of two times; zero is never.
func soonest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
