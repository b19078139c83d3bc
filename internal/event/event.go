// Package event defines the one stream of messages that status, Kubernetes
// Events, logs and terminals are made from.
//
// In: facts, as the flow learns them. Out: values that can be recorded as JSON
// and replayed. It never holds a secret, never formats for a screen and never
// decides what a fact means: that is package status.
package event

import "time"

// Object says what a message is about.
type Object struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
	UID        string `json:"uid,omitempty"`
}

// String is "Kind/namespace/name".
func (o Object) String() string {
	if o.Namespace == "" {
		return o.Kind + "/" + o.Name
	}
	return o.Kind + "/" + o.Namespace + "/" + o.Name
}

// Event is one message. Exactly one of the pointers is set.
type Event struct {
	Object Object    `json:"object"`
	At     time.Time `json:"at"`

	Asking    *Asking    `json:"asking,omitempty"`
	Found     *Found     `json:"found,omitempty"`
	Stored    *Stored    `json:"stored,omitempty"`
	Unchanged *Unchanged `json:"unchanged,omitempty"`
	Held      *Held      `json:"held,omitempty"`
	Lost      *Lost      `json:"lost,omitempty"`
	Overruled *Overruled `json:"overruled,omitempty"`
	Failed    *Failed    `json:"failed,omitempty"`

	Waiting   *Waiting   `json:"waiting,omitempty"`
	Planned   *Planned   `json:"planned,omitempty"`
	Changed   *Changed   `json:"changed,omitempty"`
	Checking  *Checking  `json:"checking,omitempty"`
	Canceled  *Canceled  `json:"canceled,omitempty"`
	Healthy   *Healthy   `json:"healthy,omitempty"`
	Delivered *Delivered `json:"delivered,omitempty"`
	Removed   *Removed   `json:"removed,omitempty"`
	Warned    *Warned    `json:"warned,omitempty"`
}

// Asking: a run began and its repository is being asked.
type Asking struct {
	Repository string `json:"repository"`
}

// Found: a source has something new to fetch.
type Found struct {
	Revision  string `json:"revision"`  // tag@digest
	Reference string `json:"reference"` // repository:tag or repository@digest
}

// Stored: a source has a new artifact.
type Stored struct {
	Revision string            `json:"revision"`
	Path     string            `json:"path"`
	URL      string            `json:"url"`
	Latest   string            `json:"latest"` // URL that always leads to the current artifact
	Digest   string            `json:"digest"` // of the stored file
	Size     int64             `json:"size"`
	Metadata map[string]string `json:"metadata,omitempty"` // annotations of the OCI manifest
	// MovedBack says that the tag now points to something published before
	// what it pointed to; empty if it does not.
	MovedBack string `json:"movedBack,omitempty"`
}

// Unchanged: a source looked, and has what it wants.
type Unchanged struct {
	Revision string `json:"revision"`
	URL      string `json:"url"`    // of the artifact, at the server's present address
	Latest   string `json:"latest"` // likewise
}

// Held: what a source follows is gone, and everything left is lower.
type Held struct {
	Tag  string `json:"tag"`            // gone
	Best string `json:"best,omitempty"` // would be taken if going back was allowed
	Rule string `json:"rule"`
}

// Overruled: fields of a spec have no effect beside a stronger one. Sent once
// for each spec.
type Overruled struct {
	Fields []string `json:"fields"`
	By     string   `json:"by"`
}

// Lost: a stored artifact is gone or was changed on disk.
type Lost struct {
	Path string `json:"path"`
}

// Step names what was being done when something failed.
type Step string

// The steps of following a source.
const (
	StepAccept  Step = "accept"  // read the spec
	StepURL     Step = "url"     // read spec.url
	StepLogin   Step = "login"   // gather credentials and certificates
	StepSelect  Step = "select"  // list tags and choose
	StepResolve Step = "resolve" // tag to digest
	StepPull    Step = "pull"    // read the manifest
	StepLayer   Step = "layer"   // download and unpack
	StepStore   Step = "store"   // write to disk
	StepCleanup Step = "cleanup" // remove from disk
)

// The steps of delivering a Kustomization.
const (
	StepAccess  Step = "access"  // may the source be used
	StepExpr    Step = "expr"    // compile CEL expressions
	StepBundle  Step = "bundle"  // open the artifact
	StepBuild   Step = "build"   // kustomize, substitution
	StepTarget  Step = "target"  // reach the cluster to apply to
	StepPlan    Step = "plan"    // observe and decide
	StepEmpty   Step = "empty"   // a guard: nothing was found, everything would be pruned
	StepApply   Step = "apply"   // create and update
	StepPrune   Step = "prune"   // delete what is wanted no more
	StepHealth  Step = "health"  // wait until healthy
	StepRemoval Step = "removal" // delete what a deleted Kustomization owns
)

// Failed: a step did not succeed.
type Failed struct {
	Step Step   `json:"step"`
	Text string `json:"text"` // equal for equal causes
	// Stalled: trying again cannot help; the spec has to change.
	Stalled bool `json:"stalled,omitempty"`
	// Attempt is what a roll-out tried to deliver; nil for sources.
	Attempt *Attempt `json:"attempt,omitempty"`
	// Inventory of a roll-out that failed after it wrote; nil leaves what was
	// planned.
	Inventory []Item `json:"inventory,omitempty"`
	// RetryAt is when the next try is made by itself.
	RetryAt time.Time `json:"retryAt,omitzero"`
}

// Severity of a Notice.
type Severity string

// The severities of notification-controller's events.
const (
	Info  Severity = "info"
	Error Severity = "error"
)

// Notice is what people and notification-controller are told: one Kubernetes
// Event. Notices are news; a state that goes on makes none.
type Notice struct {
	Object   Object            `json:"object"`
	At       time.Time         `json:"at"`
	Severity Severity          `json:"severity"`
	Reason   string            `json:"reason"`
	Message  string            `json:"message"`
	Metadata map[string]string `json:"metadata,omitempty"`
}
