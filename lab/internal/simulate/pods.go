package simulate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/sluice-dev/sluice/lab/internal/steer"
)

// kubelets runs the pods that the scheduler has bound.
type kubelets struct {
	client kubernetes.Interface
	lister corelisters.PodLister
	events record.EventRecorder
	ips    *addresses

	mu    sync.Mutex
	known map[string]*life // by namespace/name
}

// life is what the API cannot tell about a pod: its times have a resolution of a
// second, and it does not say when the user steered the pod anew. A key is in the
// hands of one worker at a time, so only the map of lives needs the lock.
type life struct {
	uid   types.UID
	shape string    // "" is not known, after a restart of the lab
	since time.Time // zero until the pod is bound
	told  []string  // problems that were reported
}

func podLoop(client kubernetes.Interface, shared informers.SharedInformerFactory, events record.EventRecorder) *loop {
	k := &kubelets{client: client, lister: shared.Core().V1().Pods().Lister(), events: events,
		ips: newAddresses("10.244.0.0/16"), known: map[string]*life{}}
	l := newLoop("pods", 4)
	l.on(shared.Core().V1().Pods().Informer())
	l.sync = k.sync
	return l
}

func (k *kubelets) sync(ctx context.Context, key string) (time.Duration, error) {
	namespace, name, _ := cache.SplitMetaNamespaceKey(key)
	pod, err := k.lister.Pods(namespace).Get(name)
	if err != nil {
		k.forget(key)
		return 0, nil
	}
	life := k.lifeOf(key, pod)
	wish, problems := steer.Read(pod.Annotations, steer.PodBehaviors)
	if !slices.Equal(life.told, problems) {
		life.told = problems
		k.tell(pod, problems)
	}
	if pod.DeletionTimestamp != nil {
		return k.terminate(ctx, pod, wish)
	}
	if pod.Spec.NodeName == "" {
		return 0, nil // the scheduler's turn
	}
	now := time.Now()
	life.steer(pod, wish, now)
	status, again := nextStatus(observation{pod: pod, wish: wish, since: life.since, now: now, place: k.placeOf(key, pod)})
	if equality.Semantic.DeepEqual(status, pod.Status) {
		return again, nil
	}
	next := pod.DeepCopy()
	next.Status = status
	if _, err := k.client.CoreV1().Pods(namespace).UpdateStatus(ctx, next, metav1.UpdateOptions{}); err != nil {
		return 0, fmt.Errorf("reporting pod %s: %w", key, err)
	}
	k.announce(pod, status)
	return again, nil
}

func (k *kubelets) lifeOf(key string, pod *corev1.Pod) *life {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l := k.known[key]; l != nil && l.uid == pod.UID {
		return l
	}
	l := &life{uid: pod.UID}
	if pod.Status.StartTime != nil { // it ran before a restart of the lab
		l.since = pod.Status.StartTime.Time
	}
	k.known[key] = l
	return l
}

// steer begins a new life when the pod is bound, and when it is steered anew.
func (l *life) steer(pod *corev1.Pod, wish steer.Wish, now time.Time) {
	shape := shapeKey(pod, wish)
	switch {
	case l.since.IsZero():
		l.since = now
	case l.shape != "" && l.shape != shape && pod.Status.Phase == corev1.PodRunning:
		l.since = now.Add(-usualStart) // its containers are there already
	case l.shape != "" && l.shape != shape:
		l.since = now
	}
	l.shape = shape
}

func shapeKey(pod *corev1.Pod, wish steer.Wish) string {
	key := wish.Key()
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		key += " " + c.Image
	}
	return key
}

func (k *kubelets) placeOf(key string, pod *corev1.Pod) place {
	host := nodeIP(max(0, slices.Index(nodeNames, pod.Spec.NodeName)))
	if pod.Spec.HostNetwork {
		return place{hostIP: host, podIP: host}
	}
	return place{hostIP: host, podIP: k.ips.of(key, pod.Status.PodIP)}
}

func (k *kubelets) forget(key string) {
	k.ips.release(key)
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.known, key)
}

// terminate ends a pod that is being deleted: containers here stop at once.
func (k *kubelets) terminate(ctx context.Context, pod *corev1.Pod, wish steer.Wish) (time.Duration, error) {
	grace := time.Duration(0)
	if pod.DeletionGracePeriodSeconds != nil {
		grace = time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second
		if grace == 0 {
			return 0, nil // confirmed already; finalizers hold it
		}
	}
	if wish.Behavior == steer.StuckTerminating {
		asked := pod.DeletionTimestamp.Add(-grace)
		if wish.After == nil {
			return 0, nil
		}
		if rest := time.Until(asked.Add(*wish.After)); rest > 0 {
			return rest, nil
		}
	}
	// Whoever holds the pod with a finalizer, as a Job does, wants to see how it ended.
	if len(pod.Finalizers) > 0 && !terminal(pod) {
		killed := pod.DeepCopy()
		killed.Status = killedStatus(pod, time.Now())
		updated, err := k.client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, killed, metav1.UpdateOptions{})
		if err != nil {
			return 0, fmt.Errorf("reporting the end of pod %s/%s: %w", pod.Namespace, pod.Name, err)
		}
		pod = updated
	}
	now, uid := int64(0), pod.UID
	err := k.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &uid}})
	if err != nil {
		return 0, fmt.Errorf("confirming the deletion of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return 0, nil
}

// killedStatus is that of a pod whose containers got SIGTERM.
func killedStatus(pod *corev1.Pod, at time.Time) corev1.PodStatus {
	status := *pod.Status.DeepCopy()
	status.Phase = corev1.PodFailed
	status.ObservedGeneration = pod.Generation
	for i := range status.ContainerStatuses {
		c := &status.ContainerStatuses[i]
		c.Ready = false
		if c.State.Terminated == nil {
			ended := &corev1.ContainerStateTerminated{ExitCode: 143, Reason: "Error", ContainerID: c.ContainerID, FinishedAt: second(at)}
			if c.State.Running != nil {
				ended.StartedAt = c.State.Running.StartedAt
			}
			c.State = corev1.ContainerState{Terminated: ended}
		}
	}
	status.Conditions = conditions(pod, status, stage{kind: failed}, second(at))
	return status
}

// tell reports what could not be understood.
func (k *kubelets) tell(pod *corev1.Pod, problems []string) {
	if len(problems) > 0 {
		k.events.Event(pod, corev1.EventTypeWarning, "LabSteering", strings.Join(problems, "; "))
	}
}

// announce records the events of a kubelet that people look for when a pod does not start.
func (k *kubelets) announce(before *corev1.Pod, now corev1.PodStatus) {
	for _, c := range slices.Concat(now.InitContainerStatuses, now.ContainerStatuses) {
		was := previous(slices.Concat(before.Status.InitContainerStatuses, before.Status.ContainerStatuses), c.Name).State.Waiting
		is := c.State.Waiting
		if is == nil || was != nil && was.Reason == is.Reason {
			continue
		}
		switch is.Reason {
		case "ErrImagePull":
			k.events.Eventf(before, corev1.EventTypeWarning, "Failed", "Failed to pull image %q: %s", c.Image, is.Message)
		case "InvalidImageName":
			k.events.Event(before, corev1.EventTypeWarning, "InspectFailed", is.Message)
		case "CrashLoopBackOff":
			k.events.Eventf(before, corev1.EventTypeWarning, "BackOff", "Back-off restarting failed container %s in pod %s_%s(%s)",
				c.Name, before.Name, before.Namespace, before.UID)
		}
	}
}
