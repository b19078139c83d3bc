// Package health judges objects.
//
// In: an object as it is, and CEL expressions for kinds that need them. Out: a
// verdict with a sentence. It is pure: it reads no cluster and no clock.
package health

// Status is a verdict in the words of kstatus.
type Status string

// The statuses of kstatus.
const (
	Current     Status = "Current"
	InProgress  Status = "InProgress"
	Failed      Status = "Failed"
	Terminating Status = "Terminating"
	NotFound    Status = "NotFound"
	Unknown     Status = "Unknown"
)

// Verdict is the health of one object.
type Verdict struct {
	Status  Status `json:"status"`
	Message string `json:"message,omitempty"`
}
