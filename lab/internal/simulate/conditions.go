package simulate

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// conditions are those a kubelet owns; the others (PodScheduled, readiness
// gates, disruption) are kept as they are.
func conditions(pod *corev1.Pod, status corev1.PodStatus, s stage, now metav1.Time) []corev1.PodCondition {
	set := &conditionSet{all: append([]corev1.PodCondition(nil), pod.Status.Conditions...), generation: pod.Generation, now: now}
	set.put(corev1.PodReadyToStartContainers, s.kind != creating && s.kind != succeeded && s.kind != failed, "", "")

	if initsDone(status.InitContainerStatuses) {
		reason := ""
		if s.kind == succeeded {
			reason = "PodCompleted"
		}
		set.put(corev1.PodInitialized, true, reason, "")
	} else {
		set.put(corev1.PodInitialized, false, "ContainersNotInitialized",
			"containers with incomplete status: ["+notReady(status.InitContainerStatuses)+"]")
	}

	reason, message := "", ""
	unready := notReady(status.ContainerStatuses)
	switch {
	case s.kind == succeeded:
		reason = "PodCompleted"
	case s.kind == failed:
		reason = "PodFailed"
	case unready != "":
		reason, message = "ContainersNotReady", "containers with unready status: ["+unready+"]"
	}
	set.put(corev1.ContainersReady, reason == "", reason, message)
	if gate := closedGate(pod); reason == "" && gate != "" {
		reason, message = "ReadinessGatesNotReady", "the status of pod readiness gate \""+gate+"\" is not \"True\", but False"
	}
	set.put(corev1.PodReady, reason == "", reason, message)
	return set.all
}

type conditionSet struct {
	all        []corev1.PodCondition
	generation int64
	now        metav1.Time
}

// put keeps the transition time while the status stays, so that an unchanged pod is an equal pod.
func (c *conditionSet) put(kind corev1.PodConditionType, is bool, reason, message string) {
	next := corev1.PodCondition{Type: kind, Status: corev1.ConditionFalse, Reason: reason, Message: message,
		LastTransitionTime: c.now, ObservedGeneration: c.generation}
	if is {
		next.Status = corev1.ConditionTrue
	}
	for i, was := range c.all {
		if was.Type == kind {
			if was.Status == next.Status {
				next.LastTransitionTime = was.LastTransitionTime
			}
			next.LastProbeTime = was.LastProbeTime
			c.all[i] = next
			return
		}
	}
	c.all = append(c.all, next)
}

func notReady(statuses []corev1.ContainerStatus) string {
	var names []string
	for _, status := range statuses {
		if !status.Ready {
			names = append(names, status.Name)
		}
	}
	return strings.Join(names, " ")
}

// closedGate is the first readiness gate whose condition somebody has yet to set to True.
func closedGate(pod *corev1.Pod) string {
	for _, gate := range pod.Spec.ReadinessGates {
		open := false
		for _, condition := range pod.Status.Conditions {
			open = open || condition.Type == gate.ConditionType && condition.Status == corev1.ConditionTrue
		}
		if !open {
			return string(gate.ConditionType)
		}
	}
	return ""
}
