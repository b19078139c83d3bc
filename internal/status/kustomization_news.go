package status

import (
	"fmt"
	"maps"
	"strings"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"

	"github.com/sluice-dev/sluice/internal/event"
)

// jobPrefix begins the keys under which a snapshot remembers Jobs:
// job/namespace/name. Jobs may remove themselves, and are not to run again for
// that.
const jobPrefix = "job/"

func (f *deliveryFold) change(c event.Changed) {
	f.wrote = true
	for _, object := range c.Objects {
		f.changed = append(f.changed, object.Object+" "+object.Action)
		if name, isJob := strings.CutPrefix(object.Object, "Job/"); isJob && object.Action == "created" {
			if f.created == nil {
				f.created = map[string]string{}
			}
			f.created[jobPrefix+name] = ""
		}
	}
}

// jobs are those that were created for what failed now, by this roll-out or one
// before; their value is the digest of what was built.
func (f *deliveryFold) jobs() map[string]string {
	jobs := map[string]string{}
	for _, s := range f.next.History {
		for key, value := range s.Metadata {
			if s.Digest == f.attempt.Digest && strings.HasPrefix(key, jobPrefix) && jobs[key] == "" {
				jobs[key] = value
			}
		}
	}
	for key := range f.created {
		jobs[key] = f.attempt.Digest
	}
	return jobs
}

// record makes a snapshot of the attempt, or counts it with an equal one.
func (f *deliveryFold) record(e event.Event, took time.Duration, reason string, jobs map[string]string) {
	metadata := map[string]string{"revision": f.attempt.Revision}
	if f.attempt.Origin != "" {
		metadata["originRevision"] = f.attempt.Origin
	}
	maps.Copy(metadata, jobs)
	f.next.History.Upsert(f.attempt.Digest, e.At.UTC().Truncate(time.Second), took.Round(time.Millisecond), reason, metadata)
}

// succeeded carries the mark that makes notification-controller set the status
// of a commit.
func (f *deliveryFold) succeeded(e event.Event) {
	d := e.Delivered
	f.notify(e, event.Info, meta.ReconciliationSucceededReason,
		fmt.Sprintf("Reconciliation finished in %s, next run in %s", d.Took, d.Next))
	f.notices[len(f.notices)-1].Metadata[kustomizev1.GroupVersion.Group+"/commit_status"] = "update"
}

// tellChanged makes one notice of all that was written so far.
func (f *deliveryFold) tellChanged(e event.Event) {
	if len(f.changed) > 0 {
		f.notify(e, event.Info, meta.ProgressingReason, strings.Join(f.changed, "\n"))
	}
	f.changed = nil
}

func (f *deliveryFold) notify(e event.Event, severity event.Severity, reason, message string) {
	n := event.Notice{Object: f.about.Object, At: e.At, Severity: severity, Reason: reason, Message: message, Metadata: map[string]string{}}
	if f.attempt.Revision != "" {
		n.Metadata[kustomizev1.GroupVersion.Group+"/revision"] = f.attempt.Revision
	}
	if f.attempt.Origin != "" {
		n.Metadata[kustomizev1.GroupVersion.Group+"/originRevision"] = f.attempt.Origin
	}
	f.notices = append(f.notices, n)
}

func inventoryOf(items []event.Item) *kustomizev1.ResourceInventory {
	inv := &kustomizev1.ResourceInventory{Entries: []kustomizev1.ResourceRef{}}
	for _, i := range items {
		inv.Entries = append(inv.Entries, kustomizev1.ResourceRef{ID: i.ID, Version: i.Version})
	}
	return inv
}
