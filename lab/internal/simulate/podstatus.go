package simulate

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/lab/internal/steer"
)

// observation is all that the next status of a bound pod depends on.
type observation struct {
	pod   *corev1.Pod
	wish  steer.Wish
	since time.Time // when the node saw the pod in this shape
	now   time.Time
	place place
}

// place is where the pod runs.
type place struct{ hostIP, podIP string }

// nextStatus is what a kubelet would report now, and after how long to look
// again; zero means that time alone will change nothing.
func nextStatus(o observation) (corev1.PodStatus, time.Duration) {
	if terminal(o.pod) {
		return o.pod.Status, 0
	}
	age := o.now.Sub(o.since)
	stage := stageAt(shapeOf(o.pod), o.wish, age)
	again := time.Duration(0)
	if stage.until > 0 {
		again = stage.until - age
	}
	if deadline := o.pod.Spec.ActiveDeadlineSeconds; deadline != nil {
		limit := time.Duration(*deadline) * time.Second
		if age >= limit {
			stage, again = stage.exceeded(limit), 0
		} else if again == 0 || limit-age < again {
			again = limit - age
		}
	}
	return o.render(stage), again
}

// exceeded is how a stage ends when the pod may not run any longer.
func (s stage) exceeded(at time.Duration) stage {
	return stage{kind: failed, reason: "DeadlineExceeded", restarts: s.restarts, exitedAt: at}
}

func shapeOf(pod *corev1.Pod) shape {
	s := shape{
		completes:  pod.Spec.RestartPolicy == corev1.RestartPolicyNever || pod.Spec.RestartPolicy == corev1.RestartPolicyOnFailure,
		mayRestart: pod.Spec.RestartPolicy != corev1.RestartPolicyNever,
	}
	// A server that nobody would replace can be Failed as its user asked;
	// one that a controller replaces would be replaced for ever.
	if metav1.GetControllerOf(pod) == nil {
		if w, _ := steer.Read(pod.Annotations, steer.PodBehaviors); w.Behavior == steer.Fail {
			s.mayRestart = false
		}
	}
	for _, c := range pod.Spec.InitContainers {
		s.badImage = s.badImage || cannotBePulled(c.Image)
		s.badReference = s.badReference || cannotBeParsed(c.Image)
	}
	for _, c := range pod.Spec.Containers {
		s.badImage = s.badImage || cannotBePulled(c.Image)
		s.badReference = s.badReference || cannotBeParsed(c.Image)
	}
	return s
}

func terminal(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// render turns a stage into the status that tools know from real clusters.
func (o observation) render(s stage) corev1.PodStatus {
	status := *o.pod.Status.DeepCopy()
	status.ObservedGeneration = o.pod.Generation
	status.Phase, status.Reason, status.Message = phaseOf(s), "", ""
	if s.kind == failed && s.reason != "" {
		status.Reason, status.Message = s.reason, "Pod was active on the node longer than the specified deadline"
	}
	if status.StartTime == nil {
		started := second(o.since)
		status.StartTime = &started
	}
	status.HostIP, status.HostIPs = o.place.hostIP, []corev1.HostIP{{IP: o.place.hostIP}}
	if s.kind != creating {
		status.PodIP, status.PodIPs = o.place.podIP, []corev1.PodIP{{IP: o.place.podIP}}
	}
	inits := o.initStatuses(s)
	status.InitContainerStatuses = inits
	status.ContainerStatuses = o.containerStatuses(s, initsDone(inits))
	status.Conditions = conditions(o.pod, status, s, second(o.now))
	return status
}

func phaseOf(s stage) corev1.PodPhase {
	switch s.kind {
	case creating, pullFailed:
		return corev1.PodPending
	case succeeded:
		return corev1.PodSucceeded
	case failed:
		return corev1.PodFailed
	}
	return corev1.PodRunning
}

// second drops what the API does not store; else every comparison with a status
// that was read back would find a difference.
func second(t time.Time) metav1.Time { return metav1.NewTime(t.Truncate(time.Second)) }
