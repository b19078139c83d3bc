package health

import (
	"fmt"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/internal/object"
)

// Judge gives the health of a live object. Expressions come before what is
// known of a kind, for Jobs too. An object that cannot be judged is Unknown,
// with the reason. (kustomize-controller internal/controller, cli-utils
// pkg/kstatus, fluxcd/pkg/runtime/cel and statusreaders)
func Judge(u *unstructured.Unstructured, rules *Rules) (verdict Verdict) {
	if u == nil || u.Object == nil {
		return Verdict{Status: Unknown, Message: "there is no object to judge"}
	}
	// kstatus copies fields and panics on values that JSON does not have. One
	// strange object must not end the process.
	defer func() {
		if problem := recover(); problem != nil {
			verdict = Verdict{Status: Unknown, Message: fmt.Sprintf("judging %s: the object is malformed: %v", object.IDOf(u), problem)}
		}
	}()
	gk := u.GroupVersionKind().GroupKind()
	switch rule, found := rules.find(gk); {
	case found:
		verdict = rule.judge(u)
	case gk == jobKind:
		verdict = judgeJob(u)
	default:
		verdict = judgeKind(u)
	}
	return held(u, verdict)
}

// judgeKind asks kstatus.
func judgeKind(u *unstructured.Unstructured) Verdict {
	result, err := status.Compute(u)
	if err != nil {
		return unknown(err)
	}
	verdict := Verdict{Status: Status(result.Status), Message: result.Message}
	// Some controllers set a condition with a reason and no message.
	if verdict.Message == "" && len(result.Conditions) > 0 {
		verdict.Message = result.Conditions[0].Reason
	}
	return verdict
}

func unknown(err error) Verdict { return Verdict{Status: Unknown, Message: err.Error()} }
