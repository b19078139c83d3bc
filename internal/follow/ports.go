package follow

import (
	"context"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sluice-dev/sluice/internal/artifact"
)

// Ask says how fresh an answer has to be and what may be spent on it.
type Ask struct {
	// NotBefore: an answer to a question asked before this moment is too old.
	NotBefore time.Time
	// Timeout bounds one request.
	Timeout time.Duration
	// Now asks again although the last try failed and its back-off still runs:
	// a person or a changed spec is behind it.
	Now bool
}

// Seen is a value and the moment at which it was asked for.
type Seen[T any] struct {
	Value T
	At    time.Time
	// Jitter in [-1, 1] is drawn once per question, so that all who share the
	// answer ask again at the same moment.
	Jitter float64
}

// Backoff spaces tries after failures: Flux's --min-retry-delay and
// --max-retry-delay.
type Backoff struct{ Min, Max time.Duration }

// After is the pause after a number of failures in a row.
func (b Backoff) After(failures int) time.Duration {
	d := b.Min
	for range failures - 1 {
		if d *= 2; d >= b.Max {
			return b.Max
		}
	}
	return d
}

// Access is a repository together with the identity it is reached with, as the
// spec and its Secrets give it.
type Access struct {
	Repository artifact.Repository
	// DockerConfig is the content of a kubernetes.io/dockerconfigjson Secret;
	// empty is anonymous.
	DockerConfig []byte
	CA           []byte // PEM, added to the system's authorities
	Cert, Key    []byte // PEM, of a client certificate
	// Insecure allows plain HTTP and certificates nobody vouches for.
	Insecure bool
}

// Repositories opens repositories. What is learned through equal Access is
// shared; nothing else is.
type Repositories interface {
	Open(a Access) (Repository, error)
}

// Repository is a registry's repository, seen with the source's own identity.
type Repository interface {
	Tags(ctx context.Context, ask Ask) (Seen[[]string], error)
	Resolve(ctx context.Context, tag string, ask Ask) (Seen[digest.Digest], error)
	Manifest(ctx context.Context, d digest.Digest, ask Ask) (artifact.Manifest, error)
	// MayRead fails unless the source's own identity may read the layer.
	MayRead(ctx context.Context, layer ocispec.Descriptor, ask Ask) error
	Layer(ctx context.Context, layer ocispec.Descriptor, stall time.Duration) (io.ReadCloser, error)
}

// Shelf is where artifacts are kept.
type Shelf interface {
	// Layer opens a layer, fetching it if it is not there; what is there
	// already has to be earned by a proof. size < 0 is unknown.
	Layer(ctx context.Context, d digest.Digest, size int64, want Supply) (io.ReadCloser, error)
	// Publish stores what fill writes under a source's name.
	Publish(source Source, file string, fill func(io.Writer) error) (Published, error)
	// Find tells whether a published path is there, intact, and where it is
	// served now.
	Find(source Source, path string, d digest.Digest) (Published, bool, error)
}

// Supply is how a source gets at a layer.
type Supply struct {
	// Fetch downloads it.
	Fetch func(context.Context) (io.ReadCloser, error)
	// Prove fails unless the source may have what somebody else downloaded.
	Prove func(context.Context) error
}

// Source names an object whose artifacts are stored.
type Source struct{ Kind, Namespace, Name string }

// Published is a stored artifact as Flux's status describes it.
type Published struct {
	Path   string // relative to the storage directory, with slashes
	URL    string
	Latest string        // URL that always leads to the source's current artifact
	Digest digest.Digest // of the stored file
	Size   int64
}
