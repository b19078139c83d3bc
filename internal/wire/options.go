package wire

import (
	"log/slog"
	"time"

	"github.com/sluice-dev/sluice/internal/event"
)

// Options of a controller process; the flags of `sluice controller` name and
// explain them.
type Options struct {
	Controllers []string // of Kinds

	Namespace    string // the process's own: leases and, without AllNamespaces, everything
	AllNamespace bool
	Selector     string // --watch-label-selector: the shard
	Concurrent   int

	StoragePath, StorageAddr, StorageAdvAddr string
	RetentionTTL                             time.Duration
	RetentionRecords                         int
	MaxArtifact                              int64 // bytes, unpacked

	MetricsAddr, HealthAddr, EventsAddr string
	HookAddr, HookToken                 string

	LeaderElection                          bool
	ReleaseOnCancel                         bool
	LeaseDuration, RenewDeadline, RetryTime time.Duration

	JitterPercent      int
	MinRetry, MaxRetry time.Duration
	AllowDowngrade     bool

	Kustomize KustomizeOptions
	// Memory is what the process tries to stay below, in bytes; caches are sized
	// by it. Zero is 1 GiB.
	Memory int64
	// Stream is given every event of deliveries; may be nil.
	Stream func(event.Event)

	Version string
	Log     *slog.Logger
	// Ready, if set, is told once when the process leads and serves.
	Ready func(Serving)
}

// KustomizeOptions are the flags that are about Kustomizations.
type KustomizeOptions struct {
	Concurrent      int // passes that work at a time
	ConcurrentSSA   int // requests of one pass at a time
	Recheck         time.Duration
	ConfigsSelector string
	StageKinds      []string // Kind.group
	Override        []string // field managers
	Localhost       string   // host in place of that of artifact URLs
	RequestTimeout  time.Duration

	NoCrossNamespace      bool
	DefaultServiceAccount string
	AllowExec             bool
	AllowInsecureTLS      bool

	// DriftAtInterval reverses drift at the interval only, as Flux does.
	DriftAtInterval bool
	Gates           Gates
}

// Gates are Flux's feature gates that mean something here.
type Gates struct {
	Strict            bool // StrictPostBuildSubstitutions
	Additive          bool // AdditiveCELDependencyCheck
	Supersede         bool // CancelHealthCheckOnNewRevision
	NoFailFast        bool // DisableFailFastBehavior
	ExternalArtifacts bool // ExternalArtifact
	MigrateAPIVersion bool // MigrateAPIVersion
	NoConfigWatchers  bool // DisableConfigWatchers
	NoSuccessEvents   bool // DisableCommitStatusEvent
}

// DefaultGates are Flux's, except that a newer revision ends the wait for an
// older one.
var DefaultGates = Gates{Strict: true, Supersede: true}

// Serving says where a controller process listens.
type Serving struct{ Storage, Hook string }

// Kinds are the values of --controllers.
var Kinds = []string{"oci", "kustomize"}
