package lab_test

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const goodImage = "registry.example.com/app:1.0.0"

func template(annotations map[string]string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "app"}, Annotations: annotations},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: goodImage}}},
	}
}

func selector() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": "app"}}
}

func (w *world) deploy(annotations map[string]string, edit func(*appsv1.Deployment)) *appsv1.Deployment {
	w.Helper()
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "app"},
		Spec:       appsv1.DeploymentSpec{Replicas: ptr[int32](2), Selector: selector(), Template: template(annotations)},
	}
	if edit != nil {
		edit(d)
	}
	created, err := w.client.AppsV1().Deployments(w.namespace).Create(w.Context(), d, metav1.CreateOptions{})
	w.must(err)
	return created
}

func (w *world) deployment() *appsv1.Deployment {
	w.Helper()
	d, err := w.client.AppsV1().Deployments(w.namespace).Get(w.Context(), "app", metav1.GetOptions{})
	w.must(err)
	return d
}

func (w *world) patchDeployment(patch string) {
	w.Helper()
	_, err := w.client.AppsV1().Deployments(w.namespace).Patch(w.Context(), "app", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
	w.must(err)
}

// rolledOut says what is missing until the newest template serves with all replicas.
func rolledOut(d *appsv1.Deployment) string {
	s, want := d.Status, *d.Spec.Replicas
	if s.ObservedGeneration == d.Generation && s.UpdatedReplicas == want && s.Replicas == want && s.ReadyReplicas == want && s.AvailableReplicas == want {
		return ""
	}
	return fmt.Sprintf("generation %d, status %+v", d.Generation, s)
}

func TestDeploymentBecomesReady(t *testing.T) {
	w := enter(t)
	w.deploy(nil, nil)
	w.eventually("roll-out", func() string { return rolledOut(w.deployment()) })

	addresses := map[string]bool{}
	for _, pod := range w.pods("app=app") {
		if pod.Status.Phase != corev1.PodRunning || pod.Status.ObservedGeneration != pod.Generation || pod.Status.StartTime == nil {
			t.Errorf("pod %s: status %+v", pod.Name, pod.Status)
		}
		c := pod.Status.ContainerStatuses[0]
		if !c.Ready || c.Started == nil || !*c.Started || c.State.Running == nil || c.RestartCount != 0 {
			t.Errorf("pod %s: container %+v", pod.Name, c)
		}
		addresses[pod.Status.PodIP] = true
	}
	if len(addresses) != 2 {
		t.Errorf("2 pods have the addresses %v", addresses)
	}
}

func TestPodsSpreadOverZones(t *testing.T) {
	w := enter(t)
	w.deploy(nil, func(d *appsv1.Deployment) {
		d.Spec.Replicas = ptr[int32](3)
		d.Spec.Template.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: selector()}}
	})
	w.eventually("roll-out", func() string { return rolledOut(w.deployment()) })
	nodes := map[string]bool{}
	for _, pod := range w.pods("app=app") {
		nodes[pod.Spec.NodeName] = true
	}
	if len(nodes) != 3 {
		t.Errorf("3 pods that spread over zones are on %v", nodes)
	}
}

func TestRollingUpdateRolls(t *testing.T) {
	w := enter(t)
	w.deploy(nil, nil)
	w.eventually("first roll-out", func() string { return rolledOut(w.deployment()) })
	old := w.pods("app=app")

	w.patchDeployment(`{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"registry.example.com/app:1.1.0"}]}}}}`)
	w.eventually("second roll-out", func() string { return rolledOut(w.deployment()) })
	w.eventually("the old pods to go", func() string {
		for _, pod := range w.pods("app=app") {
			for _, before := range old {
				if pod.UID == before.UID {
					return "pod " + pod.Name + " is still there"
				}
			}
		}
		return ""
	})
}

func TestCrashLoop(t *testing.T) {
	w := enter(t)
	w.deploy(map[string]string{behavior: "crash-loop"}, nil)
	w.eventually("CrashLoopBackOff with restarts", func() string {
		pods := w.pods("app=app")
		if len(pods) != 2 || len(pods[0].Status.ContainerStatuses) == 0 {
			return "no container yet"
		}
		c := pods[0].Status.ContainerStatuses[0]
		if c.RestartCount >= 2 && c.State.Waiting != nil && c.State.Waiting.Reason == "CrashLoopBackOff" &&
			c.LastTerminationState.Terminated != nil && c.LastTerminationState.Terminated.ExitCode == 1 {
			return ""
		}
		return fmt.Sprintf("%+v", c)
	})
	if ready := w.deployment().Status.ReadyReplicas; ready != 0 {
		t.Errorf("%d replicas that crash are ready", ready)
	}
}

func TestImagePullErrorHeals(t *testing.T) {
	w := enter(t)
	w.deploy(nil, nil)
	w.eventually("first roll-out", func() string { return rolledOut(w.deployment()) })

	w.patchDeployment(`{"spec":{"progressDeadlineSeconds":3,"template":{"spec":{"containers":[{"name":"app","image":"registry.example.com/app:does-not-exist"}]}}}}`)
	w.eventually("ImagePullBackOff", func() string {
		for _, pod := range w.pods("app=app") {
			for _, c := range pod.Status.ContainerStatuses {
				if c.State.Waiting != nil && c.State.Waiting.Reason == "ImagePullBackOff" && pod.Status.Phase == corev1.PodPending {
					return ""
				}
			}
		}
		return "no such container"
	})
	w.eventually("ProgressDeadlineExceeded", func() string {
		for _, c := range w.deployment().Status.Conditions {
			if c.Type == appsv1.DeploymentProgressing && c.Reason == "ProgressDeadlineExceeded" {
				return ""
			}
		}
		return fmt.Sprintf("conditions %+v", w.deployment().Status.Conditions)
	})
	if ready := w.deployment().Status.ReadyReplicas; ready != 2 {
		t.Errorf("%d of the 2 old replicas still serve", ready)
	}
	w.patchDeployment(`{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"registry.example.com/app:1.0.1"}]}}}}`)
	w.eventually("the fix", func() string { return rolledOut(w.deployment()) })
}

func TestImagePullErrorByAnnotation(t *testing.T) {
	w := enter(t)
	w.deploy(map[string]string{behavior: "image-pull-error"}, nil)
	w.eventually("ErrImagePull or ImagePullBackOff", func() string {
		for _, pod := range w.pods("app=app") {
			if len(pod.Status.ContainerStatuses) > 0 {
				if waiting := pod.Status.ContainerStatuses[0].State.Waiting; waiting != nil && waiting.Message != "" {
					return ""
				}
			}
		}
		return "no container waits with a message"
	})
}

func TestHangNeverGetsReady(t *testing.T) {
	w := enter(t)
	w.deploy(map[string]string{behavior: "hang"}, nil)
	w.eventually("running pods", func() string {
		for _, pod := range w.pods("app=app") {
			if pod.Status.Phase == corev1.PodRunning {
				return ""
			}
		}
		return "none runs"
	})
	w.stays("a hanging Deployment", func() string {
		if n := w.deployment().Status.ReadyReplicas; n > 0 {
			return fmt.Sprintf("%d replicas are ready", n)
		}
		return ""
	})
}

func TestUnreadyThenHealedInPlace(t *testing.T) {
	w := enter(t)
	_, err := w.client.CoreV1().Pods(w.namespace).Create(w.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "app", Annotations: map[string]string{behavior: "unready"}}, Spec: template(nil).Spec}, metav1.CreateOptions{})
	w.must(err)
	ready := func() corev1.ConditionStatus {
		pod, err := w.client.CoreV1().Pods(w.namespace).Get(w.Context(), "app", metav1.GetOptions{})
		w.must(err)
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodReady && pod.Status.Phase == corev1.PodRunning {
				return c.Status
			}
		}
		return ""
	}
	w.eventually("a running pod that is not ready", func() string {
		if s := ready(); s != corev1.ConditionFalse {
			return "Ready is " + string(s)
		}
		return ""
	})
	_, err = w.client.CoreV1().Pods(w.namespace).Patch(w.Context(), "app", types.MergePatchType,
		[]byte(`{"metadata":{"annotations":{"lab.sluice.dev/behavior":null}}}`), metav1.PatchOptions{})
	w.must(err)
	w.eventually("a ready pod", func() string {
		if s := ready(); s != corev1.ConditionTrue {
			return "Ready is " + string(s)
		}
		return ""
	})
}

func TestLateGetsReadyLate(t *testing.T) {
	w := enter(t)
	w.deploy(map[string]string{after: "6s"}, nil)
	w.eventually("roll-out", func() string { return rolledOut(w.deployment()) })
	for _, pod := range w.pods("app=app") {
		for _, c := range pod.Status.Conditions {
			if c.Type != corev1.PodReady {
				continue
			}
			// The API's times have a resolution of a second.
			if took := c.LastTransitionTime.Sub(pod.Status.StartTime.Time); took.Seconds() < 5 {
				t.Errorf("pod %s was ready %s after its start, want 6s", pod.Name, took)
			}
		}
	}
}

func TestUnknownBehaviorIsReportedAndIgnored(t *testing.T) {
	w := enter(t)
	w.deploy(map[string]string{behavior: "explode"}, nil)
	w.eventually("roll-out", func() string { return rolledOut(w.deployment()) })
	w.warning(w.pods("app=app")[0].Name, `"explode"`, "crash-loop", "image-pull-error", "stuck-terminating")
}

func TestUnschedulable(t *testing.T) {
	w := enter(t)
	for name, edit := range map[string]func(*corev1.Pod){
		"annotated": func(p *corev1.Pod) { p.Annotations = map[string]string{behavior: "unschedulable"} },
		"too-large": func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("9000")}
		},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: template(nil).Spec}
		edit(pod)
		_, err := w.client.CoreV1().Pods(w.namespace).Create(w.Context(), pod, metav1.CreateOptions{})
		w.must(err)
		w.eventually(name+" is Unschedulable", func() string {
			pod, err := w.client.CoreV1().Pods(w.namespace).Get(w.Context(), name, metav1.GetOptions{})
			w.must(err)
			for _, c := range pod.Status.Conditions {
				if c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonUnschedulable {
					return ""
				}
			}
			return fmt.Sprintf("%+v", pod.Status)
		})
	}
}

func TestStuckTerminating(t *testing.T) {
	w := enter(t)
	pods := w.client.CoreV1().Pods(w.namespace)
	_, err := pods.Create(w.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "app", Annotations: map[string]string{behavior: "stuck-terminating"}}, Spec: template(nil).Spec}, metav1.CreateOptions{})
	w.must(err)
	exists := func() string {
		pod, err := pods.Get(w.Context(), "app", metav1.GetOptions{})
		if err != nil || pod.Status.Phase != corev1.PodRunning {
			return "the pod does not run"
		}
		return ""
	}
	w.eventually("a running pod", exists)
	w.must(pods.Delete(w.Context(), "app", metav1.DeleteOptions{}))
	w.stays("a pod that is stuck", exists)
	w.must(pods.Delete(w.Context(), "app", metav1.DeleteOptions{GracePeriodSeconds: ptr[int64](0)}))
	w.eventually("the forced deletion", func() string {
		if exists() == "" {
			return "the pod is still there"
		}
		return ""
	})
}

func TestDaemonSetRunsOnEachNode(t *testing.T) {
	w := enter(t)
	_, err := w.client.AppsV1().DaemonSets(w.namespace).Create(w.Context(), &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: "app"},
		Spec:       appsv1.DaemonSetSpec{Selector: selector(), Template: template(nil)}}, metav1.CreateOptions{})
	w.must(err)
	w.eventually("a pod on each of 3 nodes", func() string {
		d, err := w.client.AppsV1().DaemonSets(w.namespace).Get(w.Context(), "app", metav1.GetOptions{})
		w.must(err)
		if d.Status.DesiredNumberScheduled == 3 && d.Status.NumberReady == 3 && d.Status.NumberAvailable == 3 {
			return ""
		}
		return fmt.Sprintf("%+v", d.Status)
	})
}

func TestStatefulSetWithVolumes(t *testing.T) {
	w := enter(t)
	_, err := w.client.AppsV1().StatefulSets(w.namespace).Create(w.Context(), &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: "app"},
		Spec: appsv1.StatefulSetSpec{Replicas: ptr[int32](2), Selector: selector(), Template: template(nil), ServiceName: "app",
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{
				ObjectMeta: metav1.ObjectMeta{Name: "data"},
				Spec: corev1.PersistentVolumeClaimSpec{
					AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
					Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
				}}}}}, metav1.CreateOptions{})
	w.must(err)
	w.eventually("2 ready replicas", func() string {
		s, err := w.client.AppsV1().StatefulSets(w.namespace).Get(w.Context(), "app", metav1.GetOptions{})
		w.must(err)
		if s.Status.ReadyReplicas == 2 && s.Status.AvailableReplicas == 2 && s.Status.CurrentRevision == s.Status.UpdateRevision {
			return ""
		}
		return fmt.Sprintf("%+v", s.Status)
	})
	claims, err := w.client.CoreV1().PersistentVolumeClaims(w.namespace).List(w.Context(), metav1.ListOptions{})
	w.must(err)
	for _, claim := range claims.Items {
		if size := claim.Status.Capacity[corev1.ResourceStorage]; claim.Status.Phase != corev1.ClaimBound || size.String() != "1Gi" {
			t.Errorf("claim %s is %s with %s", claim.Name, claim.Status.Phase, size.String())
		}
	}
	if len(claims.Items) != 2 {
		t.Fatalf("%d claims, want 2", len(claims.Items))
	}
	// A released volume goes with its claim.
	volume := claims.Items[0].Spec.VolumeName
	w.must(w.client.AppsV1().StatefulSets(w.namespace).Delete(w.Context(), "app", metav1.DeleteOptions{}))
	w.must(w.client.CoreV1().PersistentVolumeClaims(w.namespace).Delete(w.Context(), claims.Items[0].Name, metav1.DeleteOptions{}))
	w.eventually("the volume of a deleted claim to go", func() string {
		if _, err := w.client.CoreV1().PersistentVolumes().Get(w.Context(), volume, metav1.GetOptions{}); err == nil {
			return volume + " is still there"
		}
		return ""
	})
}
