package event

import "time"

// Attempt says which content a roll-out delivers.
type Attempt struct {
	Revision string `json:"revision"`
	Origin   string `json:"origin,omitempty"` // org.opencontainers.image.revision of the artifact
	Digest   string `json:"digest,omitempty"` // of what was built
}

// Item is an entry of an inventory in Flux's wire form.
type Item struct {
	ID      string `json:"id"`
	Version string `json:"v"`
}

// Waiting: nothing can be done before something else happens.
type Waiting struct {
	Attempt
	On   WaitingOn `json:"on"`
	Text string    `json:"text"` // equal for equal causes
}

// WaitingOn is what kind of thing is waited for.
type WaitingOn string

// What a Kustomization waits for before it starts.
const (
	OnSource     WaitingOn = "source"
	OnDependency WaitingOn = "dependency"
)

// Planned: something is going to be written. It is sent before that.
type Planned struct {
	Attempt
	Timeout   time.Duration `json:"timeout"`
	Inventory []Item        `json:"inventory"` // of all that is owned and that will be
	Checks    bool          `json:"checks"`    // health is waited for
	Summary   string        `json:"summary"`
}

// Changed: objects were written.
type Changed struct {
	Objects []Change `json:"objects"`
}

// Change is what was done to an object.
type Change struct {
	Object string `json:"object"` // Kind/namespace/name
	Action string `json:"action"` // created, configured, deleted, skipped
}

// Checking: health is waited for.
type Checking struct {
	Attempt
	Timeout time.Duration `json:"timeout"`
}

// Canceled: health is waited for no longer, because there is something newer to
// roll out.
type Canceled struct {
	By string `json:"by"` // Kind/namespace/name of what brought it
}

// Healthy: what was applied works.
type Healthy struct {
	Took time.Duration `json:"took"`
}

// Delivered: a revision is applied, and healthy if that was asked for.
type Delivered struct {
	Attempt
	Inventory []Item            `json:"inventory"`
	Checked   bool              `json:"checked"`        // health was asked for
	Jobs      map[string]string `json:"jobs,omitempty"` // digests of Jobs that remove themselves
	Took      time.Duration     `json:"took"`
	Next      time.Duration     `json:"next"` // the interval
}

// Removed: a deleted Kustomization has deleted what it owned, or left it.
type Removed struct {
	Left []string `json:"left,omitempty"` // objects that stay
	Why  string   `json:"why,omitempty"`  // why they stay
}

// Warned: something is worth a look and stops nothing. Told once for each
// revision.
type Warned struct {
	Reason string `json:"reason"`
	Text   string `json:"text"`
}
