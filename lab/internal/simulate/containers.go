package simulate

import (
	"crypto/sha256"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/sluice-dev/sluice/lab/internal/steer"
)

// containerStatuses renders the main containers; they start after the init containers.
func (o observation) containerStatuses(s stage, initialized bool) []corev1.ContainerStatus {
	statuses := make([]corev1.ContainerStatus, 0, len(o.pod.Spec.Containers))
	for _, c := range o.pod.Spec.Containers {
		before := previous(o.pod.Status.ContainerStatuses, c.Name)
		own := s
		if s.kind == pullFailed {
			own = o.pullOf(c.Image, s)
		}
		if !initialized && own.kind != creating {
			own = stage{kind: creating}
		}
		status := o.containerStatus(c, own, before)
		if !initialized {
			status.State.Waiting.Reason = "PodInitializing"
		}
		statuses = append(statuses, status)
	}
	return statuses
}

// pullOf: when a pull failed because of a bad image, the containers with good images run.
func (o observation) pullOf(image string, s stage) stage {
	switch {
	case cannotBeParsed(image):
		s.reason = "InvalidImageName"
		return s
	case cannotBePulled(image), o.wish.Behavior == steer.ImagePullError:
		if s.reason == "InvalidImageName" { // of another container
			s.reason = "ImagePullBackOff"
		}
		return s
	}
	return stage{kind: running, ready: true, started: true}
}

// initStatuses: init containers run while the pod is being created and are done
// afterwards; sidecars among them (restartPolicy Always) keep running.
func (o observation) initStatuses(s stage) []corev1.ContainerStatus {
	var statuses []corev1.ContainerStatus
	blocked := false
	for i, c := range o.pod.Spec.InitContainers {
		sidecar := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		own := stage{kind: succeeded, exitedAt: s.runsSince}
		bad := s.kind == pullFailed && o.pullOf(c.Image, s).kind == pullFailed
		switch {
		case blocked:
			own = stage{kind: creating}
		case bad:
			own, blocked = o.pullOf(c.Image, s), true
		case s.kind == creating && i == 0:
			own, blocked = stage{kind: running, started: true, until: s.until}, true
		case s.kind == creating:
			own = stage{kind: creating}
		case sidecar && s.kind == failed, sidecar && s.kind == succeeded:
			own = stage{kind: succeeded, exitedAt: s.exitedAt}
		case sidecar:
			own = stage{kind: running, started: true, ready: true, runsSince: s.runsSince}
		}
		status := o.containerStatus(c, own, previous(o.pod.Status.InitContainerStatuses, c.Name))
		if own.kind == creating {
			status.State.Waiting.Reason = "PodInitializing"
		}
		status.Ready = own.kind == succeeded || own.ready
		statuses = append(statuses, status)
	}
	return statuses
}

func initsDone(inits []corev1.ContainerStatus) bool {
	for _, status := range inits {
		if !status.Ready {
			return false
		}
	}
	return true
}

func (o observation) containerStatus(c corev1.Container, s stage, before corev1.ContainerStatus) corev1.ContainerStatus {
	// A count that falls, as when a crash loop is healed in place, would be a lie.
	status := corev1.ContainerStatus{
		Name: c.Name, Image: c.Image, Ready: s.ready, Started: &s.started,
		RestartCount: max(s.restarts, before.RestartCount), LastTerminationState: before.LastTerminationState,
	}
	switch s.kind {
	case creating:
		status.State.Waiting = &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}
		return status
	case pullFailed:
		status.State.Waiting = &corev1.ContainerStateWaiting{Reason: s.reason, Message: pullMessage(c.Image, s.reason)}
		return status
	}
	status.ImageID = imageID(c.Image)
	status.ContainerID = containerID(o.pod, c.Name, status.RestartCount)
	if s.restarts > 0 || s.kind == backingOff {
		status.LastTerminationState = corev1.ContainerState{Terminated: o.exit(1, s.ranFrom, s.exitedAt, containerID(o.pod, c.Name, s.restarts-1))}
	}
	switch s.kind {
	case running:
		status.State.Running = &corev1.ContainerStateRunning{StartedAt: second(o.since.Add(s.runsSince))}
		if was := before.State.Running; was != nil && before.RestartCount == status.RestartCount {
			status.State.Running = was
		}
	case backingOff:
		status.LastTerminationState.Terminated.ContainerID = status.ContainerID
		status.State.Waiting = &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff",
			Message: fmt.Sprintf("back-off %s restarting failed container=%s pod=%s_%s(%s)", s.backOff, c.Name, o.pod.Name, o.pod.Namespace, o.pod.UID)}
	case succeeded:
		status.State.Terminated = o.exit(0, s.runsSince, s.exitedAt, status.ContainerID)
	case failed:
		status.State.Terminated = o.exit(1, s.runsSince, s.exitedAt, status.ContainerID)
	}
	if done := before.State.Terminated; done != nil && status.State.Terminated != nil {
		status.State.Terminated = done
	}
	return status
}

func (o observation) exit(code int32, from, at time.Duration, id string) *corev1.ContainerStateTerminated {
	reason := "Completed"
	if code != 0 {
		reason = "Error"
	}
	return &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, ContainerID: id,
		StartedAt: second(o.since.Add(from)), FinishedAt: second(o.since.Add(at))}
}

func pullMessage(image, reason string) string {
	failure := fmt.Sprintf("failed to pull and unpack image %q: %s: not found (simulated)", image, image)
	switch reason {
	case "InvalidImageName":
		return fmt.Sprintf("Failed to apply default image tag %q: couldn't parse image name %q: invalid reference format", image, image)
	case "ImagePullBackOff":
		return fmt.Sprintf("Back-off pulling image %q: ErrImagePull: %s", image, failure)
	}
	return failure
}

func previous(statuses []corev1.ContainerStatus, name string) corev1.ContainerStatus {
	for _, status := range statuses {
		if status.Name == name {
			return status
		}
	}
	return corev1.ContainerStatus{Name: name}
}

func imageID(image string) string {
	return fmt.Sprintf("lab.sluice.dev/simulated@sha256:%x", sha256.Sum256([]byte(image)))
}

func containerID(pod *corev1.Pod, container string, restarts int32) string {
	return fmt.Sprintf("lab://%x", sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", pod.UID, container, restarts)))
}
