package simulate

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/lab/internal/steer"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)

func newPod(edit func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "app-1", Namespace: "ns", UID: "u1", Generation: 3,
			OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "app", Controller: new(bool)}}},
		Spec: corev1.PodSpec{NodeName: "node-a", RestartPolicy: corev1.RestartPolicyAlways,
			Containers: []corev1.Container{{Name: "app", Image: "app:1"}}},
	}
	*pod.OwnerReferences[0].Controller = true
	if edit != nil {
		edit(pod)
	}
	return pod
}

// at lets the pod live until an age, looking whenever it asks to be looked at.
func at(t *testing.T, pod *corev1.Pod, age time.Duration) corev1.PodStatus {
	t.Helper()
	wish, problems := steer.Read(pod.Annotations, steer.PodBehaviors)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	pod = pod.DeepCopy()
	for now := time.Duration(0); ; {
		o := observation{pod: pod, wish: wish, since: start, now: start.Add(now), place: place{hostIP: "10.0.0.1", podIP: "10.1.0.1"}}
		status, again := nextStatus(o)
		pod.Status = status
		o.now = o.now.Add(time.Millisecond)
		if same, _ := nextStatus(o); !equality.Semantic.DeepEqual(same, status) {
			t.Fatalf("a status of age %s is not stable:\n%+v\n%+v", now, status, same)
		}
		if again == 0 || now+again > age {
			return status
		}
		now += again
	}
}

func condition(status corev1.PodStatus, kind corev1.PodConditionType) corev1.PodCondition {
	for _, c := range status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return corev1.PodCondition{}
}

func annotate(pairs ...string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Annotations = map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			pod.Annotations[pairs[i]] = pairs[i+1]
		}
	}
}

func TestPodBecomesReady(t *testing.T) {
	status := at(t, newPod(nil), time.Minute)
	ready := condition(status, corev1.PodReady)
	if status.Phase != corev1.PodRunning || ready.Status != corev1.ConditionTrue || ready.ObservedGeneration != 3 || status.ObservedGeneration != 3 {
		t.Errorf("%+v", status)
	}
	if status.PodIP != "10.1.0.1" || status.HostIP != "10.0.0.1" || !status.ContainerStatuses[0].Ready {
		t.Errorf("%+v", status)
	}
}

func TestInitContainersHoldThePod(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	pod := newPod(func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "i:1"}, {Name: "sidecar", Image: "s:1", RestartPolicy: &always}}
	})
	young := at(t, pod, 0)
	if condition(young, corev1.PodInitialized).Status != corev1.ConditionFalse || young.InitContainerStatuses[0].State.Running == nil ||
		young.ContainerStatuses[0].State.Waiting.Reason != "PodInitializing" {
		t.Errorf("while initializing: %+v", young)
	}
	old := at(t, pod, time.Minute)
	if old.InitContainerStatuses[0].State.Terminated == nil || old.InitContainerStatuses[1].State.Running == nil || condition(old, corev1.PodReady).Status != corev1.ConditionTrue {
		t.Errorf("afterwards: %+v", old)
	}
}

func TestBadImageStopsOnlyItsContainer(t *testing.T) {
	pod := newPod(func(p *corev1.Pod) {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "bad", Image: "app:does-not-exist"}, corev1.Container{Name: "worse", Image: "App"})
	})
	status := at(t, pod, time.Minute)
	reasons := []string{"", "ImagePullBackOff", "InvalidImageName"}
	for i, want := range reasons {
		got := ""
		if waiting := status.ContainerStatuses[i].State.Waiting; waiting != nil {
			got = waiting.Reason
		}
		if got != want {
			t.Errorf("container %s waits because of %q, want %q", status.ContainerStatuses[i].Name, got, want)
		}
	}
	if status.Phase != corev1.PodPending || condition(status, corev1.PodReady).Message != "containers with unready status: [bad worse]" {
		t.Errorf("%+v", status)
	}
}

func TestBadInitImageHoldsThePod(t *testing.T) {
	status := at(t, newPod(func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "i:does-not-exist"}}
	}), time.Minute)
	if status.InitContainerStatuses[0].State.Waiting.Reason != "ImagePullBackOff" || status.ContainerStatuses[0].State.Waiting.Reason != "PodInitializing" {
		t.Errorf("%+v", status)
	}
}

func TestCrashLoopStatus(t *testing.T) {
	status := at(t, newPod(annotate(steer.BehaviorAnnotation, "crash-loop")), 3*time.Second)
	c := status.ContainerStatuses[0]
	if status.Phase != corev1.PodRunning || c.RestartCount != 1 || c.State.Waiting == nil ||
		c.State.Waiting.Message != "back-off 10s restarting failed container=app pod=app-1_ns(u1)" || c.LastTerminationState.Terminated.ExitCode != 1 {
		t.Errorf("%+v", status)
	}
}

func TestHealedCrashLoopKeepsItsCount(t *testing.T) {
	pod := newPod(annotate(steer.BehaviorAnnotation, "crash-loop"))
	pod.Status = at(t, pod, 20*time.Second)
	before := pod.Status.ContainerStatuses[0].RestartCount
	pod.Annotations = nil
	status := at(t, pod, time.Minute)
	if c := status.ContainerStatuses[0]; !c.Ready || c.RestartCount != before || before == 0 {
		t.Errorf("%d restarts before, then %+v", before, c)
	}
}

func TestJobPods(t *testing.T) {
	once := func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyNever }
	done := at(t, newPod(once), time.Minute)
	if done.Phase != corev1.PodSucceeded || condition(done, corev1.PodReady).Reason != "PodCompleted" || done.ContainerStatuses[0].State.Terminated.ExitCode != 0 {
		t.Errorf("%+v", done)
	}
	failed := at(t, newPod(func(p *corev1.Pod) { once(p); annotate(steer.BehaviorAnnotation, "fail")(p) }), time.Minute)
	if failed.Phase != corev1.PodFailed || failed.ContainerStatuses[0].State.Terminated.ExitCode != 1 {
		t.Errorf("%+v", failed)
	}
	limit := int64(5)
	late := at(t, newPod(func(p *corev1.Pod) {
		once(p)
		annotate(steer.BehaviorAnnotation, "hang")(p)
		p.Spec.ActiveDeadlineSeconds = &limit
	}), time.Minute)
	if late.Phase != corev1.PodFailed || late.Reason != "DeadlineExceeded" {
		t.Errorf("%+v", late)
	}
}

// A server that a controller would replace for ever must not end; one that nobody owns may.
func TestFailingServer(t *testing.T) {
	fail := annotate(steer.BehaviorAnnotation, "fail")
	if status := at(t, newPod(fail), 4*time.Second); status.ContainerStatuses[0].State.Waiting == nil {
		t.Errorf("owned: %+v", status)
	}
	if status := at(t, newPod(func(p *corev1.Pod) { fail(p); p.OwnerReferences = nil }), time.Minute); status.Phase != corev1.PodFailed {
		t.Errorf("not owned: %+v", status)
	}
}

func TestReadinessGate(t *testing.T) {
	pod := newPod(func(p *corev1.Pod) {
		p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "example.com/gate"}}
	})
	pod.Status = at(t, pod, time.Minute)
	if c := condition(pod.Status, corev1.PodReady); c.Status != corev1.ConditionFalse || c.Reason != "ReadinessGatesNotReady" {
		t.Errorf("closed: %+v", c)
	}
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: "example.com/gate", Status: corev1.ConditionTrue})
	if c := condition(at(t, pod, time.Minute), corev1.PodReady); c.Status != corev1.ConditionTrue {
		t.Errorf("open: %+v", c)
	}
}

func TestSteeringAnewBeginsANewLife(t *testing.T) {
	pod := newPod(nil)
	l := &life{}
	l.steer(pod, steer.Wish{}, start)
	l.steer(pod, steer.Wish{}, start.Add(time.Hour))
	if !l.since.Equal(start) {
		t.Errorf("an unchanged pod began anew at %s", l.since)
	}
	pod.Status.Phase = corev1.PodRunning
	l.steer(pod, steer.Wish{Behavior: steer.CrashLoop}, start.Add(time.Hour))
	if want := start.Add(time.Hour - usualStart); !l.since.Equal(want) {
		t.Errorf("a pod steered anew began at %s, want %s", l.since, want)
	}
}

func TestAddresses(t *testing.T) {
	a := newAddresses("10.9.0.0/30")
	one, two := a.of("one", ""), a.of("two", "10.9.0.1")
	if one == two || a.of("one", "") != one {
		t.Errorf("one has %s, two has %s, one again %s", one, two, a.of("one", ""))
	}
	a.release("one")
	if got := a.of("three", one); got != one {
		t.Errorf("three wants the released %s and has %s", one, got)
	}
}
