package health

import (
	"fmt"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-dev/sluice/internal/object"
)

var jobKind = schema.GroupKind{Group: "batch", Kind: "Job"}

// judgeJob wants a Job to be complete where kstatus is content with one that
// has started (fluxcd/pkg/runtime/statusreaders/job.go). A Job that is done
// keeps its result while it is being deleted.
func judgeJob(u *unstructured.Unstructured) Verdict {
	if suspended, _, err := unstructured.NestedBool(u.Object, "spec", "suspend"); err == nil && suspended {
		return Verdict{Status: Current, Message: "Job is suspended"}
	}
	job, err := status.GetObjectWithConditions(u.Object)
	if err != nil {
		return unknown(err)
	}
	for _, c := range job.Status.Conditions {
		switch {
		case c.Status != corev1.ConditionTrue:
		case c.Type == "Complete":
			return Verdict{Status: Current, Message: "Job Completed. succeeded: " + jobCount(u, "succeeded")}
		case c.Type == "Failed":
			return Verdict{Status: Failed, Message: "Job Failed. failed: " + jobCount(u, "failed") + detail(c.Reason, c.Message)}
		}
	}
	if verdict, deleted := terminating(u); deleted {
		return verdict
	}
	return Verdict{Status: InProgress, Message: jobProgress(u)}
}

func jobCount(u *unstructured.Unstructured, of string) string {
	parallelism := status.GetIntField(u.Object, ".spec.parallelism", 1)
	completions := status.GetIntField(u.Object, ".spec.completions", parallelism)
	return fmt.Sprintf("%d/%d", status.GetIntField(u.Object, ".status."+of, 0), completions)
}

func jobProgress(u *unstructured.Unstructured) string {
	if status.GetStringField(u.Object, ".status.startTime", "") == "" {
		return fmt.Sprintf("Job not started. active: 0/%d", status.GetIntField(u.Object, ".spec.parallelism", 1))
	}
	count := func(of string) int { return status.GetIntField(u.Object, ".status."+of, 0) }
	return fmt.Sprintf("Job in progress. success:%d, active: %d, failed: %d", count("succeeded"), count("active"), count("failed"))
}

// Missing is the verdict on an object that does not exist: it is waited for,
// unless it is a Job that is deleted by itself when it is done.
func Missing(id object.ID, jobWithTTL bool) Verdict {
	if jobWithTTL && id.GroupKind() == jobKind {
		return Verdict{Status: Current, Message: "Job is gone: it has a ttlSecondsAfterFinished"}
	}
	return Verdict{Status: NotFound, Message: "does not exist"}
}

// HasTTL tells whether an object, as it is applied, is a Job that is deleted by
// itself when it is done (fluxcd/pkg/ssa/utils/job.go).
func HasTTL(u *unstructured.Unstructured) bool {
	if u == nil || u.GroupVersionKind().GroupKind() != jobKind {
		return false
	}
	_, found, err := unstructured.NestedInt64(u.Object, "spec", "ttlSecondsAfterFinished")
	return found && err == nil
}
