package lab_test

import (
	"fmt"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func (w *world) job(annotations map[string]string) {
	w.Helper()
	pods := template(annotations)
	pods.Spec.RestartPolicy = corev1.RestartPolicyNever
	pods.Spec.InitContainers = []corev1.Container{{Name: "init", Image: goodImage}}
	_, err := w.client.BatchV1().Jobs(w.namespace).Create(w.Context(), &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "job"}, Spec: batchv1.JobSpec{BackoffLimit: ptr[int32](0), Template: pods}}, metav1.CreateOptions{})
	w.must(err)
}

func (w *world) jobBecomes(kind batchv1.JobConditionType) {
	w.Helper()
	w.eventually("a job that is "+string(kind), func() string {
		job, err := w.client.BatchV1().Jobs(w.namespace).Get(w.Context(), "job", metav1.GetOptions{})
		w.must(err)
		for _, c := range job.Status.Conditions {
			if c.Type == kind && c.Status == corev1.ConditionTrue {
				return ""
			}
		}
		return fmt.Sprintf("%+v", job.Status)
	})
}

func TestJobCompletes(t *testing.T) {
	w := enter(t)
	w.job(nil)
	w.jobBecomes(batchv1.JobComplete)
	pod := w.pods("job-name=job")[0]
	if pod.Status.Phase != corev1.PodSucceeded || pod.Status.InitContainerStatuses[0].State.Terminated == nil {
		t.Errorf("pod of a complete job: %+v", pod.Status)
	}
}

func TestJobFails(t *testing.T) {
	w := enter(t)
	w.job(map[string]string{behavior: "fail"})
	w.jobBecomes(batchv1.JobFailed)
	if exit := w.pods("job-name=job")[0].Status.ContainerStatuses[0].State.Terminated; exit == nil || exit.ExitCode != 1 {
		t.Errorf("its container ended with %+v", exit)
	}
}

func TestJobHangs(t *testing.T) {
	w := enter(t)
	w.job(map[string]string{behavior: "hang"})
	active := func() string {
		job, err := w.client.BatchV1().Jobs(w.namespace).Get(w.Context(), "job", metav1.GetOptions{})
		w.must(err)
		if job.Status.Active == 1 && job.Status.Succeeded+job.Status.Failed == 0 {
			return ""
		}
		return fmt.Sprintf("%+v", job.Status)
	}
	w.eventually("an active job", active)
	w.stays("a job that hangs", active)
}

// A deleted pod counts as failed and is replaced.
func TestJobReplacesADeletedPod(t *testing.T) {
	w := enter(t)
	pods := template(map[string]string{after: "5s"})
	pods.Spec.RestartPolicy = corev1.RestartPolicyNever
	_, err := w.client.BatchV1().Jobs(w.namespace).Create(w.Context(), &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "job"}, Spec: batchv1.JobSpec{Template: pods}}, metav1.CreateOptions{})
	w.must(err)
	w.eventually("a running pod", func() string {
		if running := w.pods("job-name=job"); len(running) == 1 && running[0].Status.Phase == corev1.PodRunning {
			return ""
		}
		return "none"
	})
	w.must(w.client.CoreV1().Pods(w.namespace).Delete(w.Context(), w.pods("job-name=job")[0].Name, metav1.DeleteOptions{}))
	w.jobBecomes(batchv1.JobComplete)
}

func TestCronJobMayBeRunByHand(t *testing.T) {
	w := enter(t)
	pods := template(nil)
	pods.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
	cron, err := w.client.BatchV1().CronJobs(w.namespace).Create(w.Context(), &batchv1.CronJob{
		ObjectMeta: metav1.ObjectMeta{Name: "cron"},
		Spec: batchv1.CronJobSpec{Schedule: "0 0 31 2 *",
			JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: pods}}}}, metav1.CreateOptions{})
	w.must(err)
	_, err = w.client.BatchV1().Jobs(w.namespace).Create(w.Context(), &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "job", OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(cron, batchv1.SchemeGroupVersion.WithKind("CronJob"))}},
		Spec:       cron.Spec.JobTemplate.Spec}, metav1.CreateOptions{})
	w.must(err)
	w.jobBecomes(batchv1.JobComplete)
}
