package deliver

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/fluxcd/pkg/apis/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/internal/health"
	"github.com/sluice-dev/sluice/internal/object"
)

// jobsWithTTL are the Jobs that remove themselves when they are done.
func (r *rollout) jobsWithTTL() map[object.ID]*unstructured.Unstructured {
	jobs := map[object.ID]*unstructured.Unstructured{}
	for _, u := range r.built.Objects {
		if health.HasTTL(u) {
			jobs[object.IDOf(u)] = u
		}
	}
	return jobs
}

// jobKey is where the history of a Kustomization remembers a Job.
func jobKey(id object.ID) string { return "job/" + id.Namespace + "/" + id.Name }

// jobDigests are what the history has to remember after this roll-out.
func (r *rollout) jobDigests() map[string]string {
	digests := map[string]string{}
	for id, u := range r.jobsWithTTL() {
		digests[jobKey(id)] = contentOf(u)
	}
	return digests
}

// contentOf is a digest of an object that stays the same from version to
// version of this program.
func contentOf(u *unstructured.Unstructured) string {
	raw, err := json.Marshal(u.Object)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(raw))
}

// doneJobs are Jobs that have run for what is wanted now and were removed by
// their time-to-live: they are not to run again.
func (r *rollout) doneJobs() map[object.ID]bool {
	done := map[object.ID]bool{}
	for id, u := range r.jobsWithTTL() {
		if r.own.Has(id) && r.ran(jobKey(id), contentOf(u)) {
			done[id] = true
		}
	}
	return done
}

// ran tells whether what a Job ran for last is what is wanted now. A success
// says so for each Job by its digest, and if kustomize-controller wrote it, by
// the digest of the build; a failure names the Jobs that it had created.
func (r *rollout) ran(job, content string) bool {
	for _, s := range r.object.Status.History {
		digest, known := s.Metadata[job]
		switch {
		case known:
			return digest == content || digest == r.built.Digest
		case s.LastReconciledStatus == meta.ReconciliationSucceededReason:
			return s.Digest == r.built.Digest
		}
	}
	return false
}
