package health

import (
	"fmt"
	"strings"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const longest = 300 // characters of one message

// oneLine makes a message fit into a list of messages.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > longest {
		return string(runes[:longest]) + "…"
	}
	return text
}

// saysReady is what the object's own Ready condition says, if it is not true:
// an expression tells that something is amiss, but not what.
func saysReady(u *unstructured.Unstructured) string {
	conditions, err := status.GetObjectWithConditions(u.Object)
	if err != nil {
		return ""
	}
	for _, c := range conditions.Status.Conditions {
		if c.Type == "Ready" && c.Status != corev1.ConditionTrue {
			return detail(c.Reason, c.Message)
		}
	}
	return ""
}

// detail is a reason and a message in brackets.
func detail(reason, message string) string {
	words := strings.Trim(oneLine(reason)+": "+oneLine(message), ": ")
	if words == "" {
		return ""
	}
	return " (" + words + ")"
}

// masked leaves out why an expression failed on a Secret: CEL names the value
// that it could not convert or look up.
func masked(u *unstructured.Unstructured, expr *Expression, err error) error {
	if u.GroupVersionKind().GroupKind() != (schema.GroupKind{Kind: "Secret"}) {
		return err
	}
	return fmt.Errorf("failed to evaluate the CEL expression '%s': the reason may name a secret value and is not shown", expr)
}
