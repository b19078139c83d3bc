package health

import (
	"encoding/json"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/internal/object"
)

// read gives the object of a YAML text.
func read(t testing.TB, text string) *unstructured.Unstructured {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	// Objects without a kind are of interest too.
	if err := u.UnmarshalJSON(raw); err != nil {
		if err := json.Unmarshal(raw, &u.Object); err != nil {
			t.Fatal(err)
		}
	}
	return u
}

func TestJudge(t *testing.T) {
	tests := map[string]struct {
		object  string
		want    Status
		message string // is part of the message
	}{
		"a ConfigMap is what it is": {"{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}", Current, "always ready"},
		"a Deployment rolls out": {`
apiVersion: apps/v1
kind: Deployment
metadata: {name: a, generation: 1}
spec: {replicas: 2}
status: {observedGeneration: 1, replicas: 2, updatedReplicas: 2, availableReplicas: 1, readyReplicas: 1}`, InProgress, "Available: 1/2"},
		"a Deployment has rolled out": {`
apiVersion: apps/v1
kind: Deployment
metadata: {name: a, generation: 1}
spec: {replicas: 1}
status:
  observedGeneration: 1
  replicas: 1
  updatedReplicas: 1
  availableReplicas: 1
  readyReplicas: 1
  conditions: [{type: Available, status: "True"}, {type: Progressing, status: "True", reason: NewReplicaSetAvailable}]`, Current, "available"},
		"a Deployment is past its deadline": {`
apiVersion: apps/v1
kind: Deployment
metadata: {name: a, generation: 1}
spec: {replicas: 1}
status:
  observedGeneration: 1
  conditions: [{type: Progressing, status: "False", reason: ProgressDeadlineExceeded, message: late}]`, Failed, "deadline"},
		"an old generation": {"{apiVersion: e.x/v1, kind: A, metadata: {name: a, generation: 2}, status: {observedGeneration: 1}}", InProgress, "A generation is 2, but latest observed generation is 1"},
		"being deleted":     {"{apiVersion: v1, kind: ConfigMap, metadata: {name: a, deletionTimestamp: '2026-01-01T00:00:00Z'}}", Terminating, "scheduled for deletion"},
		"stalled":           {"{apiVersion: e.x/v1, kind: A, metadata: {name: a}, status: {conditions: [{type: Stalled, status: 'True', message: no way}]}}", Failed, "no way"},
		"a reason only":     {"{apiVersion: e.x/v1, kind: A, metadata: {name: a}, status: {conditions: [{type: Ready, status: 'False', reason: NoQuota}]}}", InProgress, "NoQuota"},
		"no conditions":     {"{apiVersion: e.x/v1, kind: A, metadata: {name: a}}", Current, ""},
		"conditions that are none": {
			"{apiVersion: e.x/v1, kind: A, metadata: {name: a}, status: {conditions: 3}}", Unknown, "cannot restore slice"},
		"a claim that is not bound": {"{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a}, status: {phase: Pending}}", InProgress, "PVC is not Bound"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := Judge(read(t, test.object), nil)
			if got.Status != test.want || !strings.Contains(got.Message, test.message) {
				t.Errorf("got %+v, want %s with %q", got, test.want, test.message)
			}
		})
	}
}

func TestJudgeAJob(t *testing.T) {
	tests := map[string]struct {
		rest string
		want Verdict
	}{
		"not started":  {"spec: {parallelism: 2}", Verdict{InProgress, "Job not started. active: 0/2"}},
		"started":      {"status: {startTime: t, active: 1}", Verdict{InProgress, "Job in progress. success:0, active: 1, failed: 0"}},
		"complete":     {"status: {succeeded: 3, conditions: [{type: Complete, status: 'True'}]}\nspec: {completions: 3}", Verdict{Current, "Job Completed. succeeded: 3/3"}},
		"not complete": {"status: {conditions: [{type: Complete, status: 'False'}]}", Verdict{InProgress, "Job not started. active: 0/1"}},
		"failed":       {"status: {failed: 1, conditions: [{type: Failed, status: 'True', reason: BackoffLimitExceeded, message: too often}]}", Verdict{Failed, "Job Failed. failed: 1/1 (BackoffLimitExceeded: too often)"}},
		"suspended":    {"spec: {suspend: true}", Verdict{Current, "Job is suspended"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			job := read(t, "apiVersion: batch/v1\nkind: Job\nmetadata: {name: a}\n"+test.rest)
			if got := Judge(job, nil); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			job.Object["metadata"].(map[string]any)["deletionTimestamp"] = "2026-01-01T00:00:00Z"
			want := test.want.Status
			if want == InProgress {
				want = Terminating
			}
			if got := Judge(job, nil); got.Status != want {
				t.Errorf("being deleted: got %+v, want %s", got, want)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	job := object.ID{Group: "batch", Kind: "Job", Namespace: "ns", Name: "j"}
	if got := Missing(job, true).Status; got != Current {
		t.Errorf("a Job with a TTL: %s", got)
	}
	if got := Missing(job, false).Status; got != NotFound {
		t.Errorf("a Job without: %s", got)
	}
	if got := Missing(object.ID{Kind: "Pod", Name: "p"}, true).Status; got != NotFound {
		t.Errorf("a Pod: %s", got)
	}
}

func TestHasTTL(t *testing.T) {
	tests := map[string]bool{
		"{apiVersion: batch/v1, kind: Job, metadata: {name: a}, spec: {ttlSecondsAfterFinished: 0}}":      true,
		"{apiVersion: batch/v1, kind: Job, metadata: {name: a}, spec: {}}":                                false,
		"{apiVersion: batch/v1, kind: Job, metadata: {name: a}, spec: {ttlSecondsAfterFinished: soon}}":   false,
		"{apiVersion: batch/v1, kind: CronJob, metadata: {name: a}, spec: {ttlSecondsAfterFinished: 10}}": false,
	}
	for text, want := range tests {
		if got := HasTTL(read(t, text)); got != want {
			t.Errorf("%s: got %v", text, got)
		}
	}
	if HasTTL(nil) {
		t.Error("nothing has no TTL")
	}
}

// What no API server sends must not end the process either.
func TestJudgeStrangeObjects(t *testing.T) {
	for name, u := range map[string]*unstructured.Unstructured{
		"nil":             nil,
		"empty":           {},
		"no fields":       {Object: map[string]any{}},
		"a Go int":        {Object: map[string]any{"apiVersion": "v1", "kind": "Pod", "status": map[string]any{"phase": "Running", "conditions": []any{1}}}},
		"a Go struct":     {Object: map[string]any{"apiVersion": "batch/v1", "kind": "Job", "status": map[string]any{"conditions": []any{struct{}{}}}}},
		"a nil condition": {Object: map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "status": map[string]any{"conditions": []any{nil}}}},
	} {
		if got := Judge(u, nil); got.Status == "" {
			t.Errorf("%s: no verdict", name)
		}
	}
}

func FuzzJudge(f *testing.F) {
	f.Add("Deployment", `{"metadata":{"generation":1},"status":{"conditions":[{"type":"Available"}]}}`)
	f.Add("Pod", `{"status":{"phase":"Pending","containerStatuses":[{"state":{"waiting":{"reason":3}}}]}}`)
	f.Add("Job", `{"spec":{"suspend":"x"},"status":{"conditions":[null]}}`)
	f.Add("Service", `{"spec":{"type":"LoadBalancer"}}`)
	f.Add("StatefulSet", `{"spec":{"updateStrategy":{"rollingUpdate":{"partition":-1}}},"status":7}`)
	groups := map[string]string{"Deployment": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1", "ReplicaSet": "apps/v1",
		"Job": "batch/v1", "PodDisruptionBudget": "policy/v1", "CustomResourceDefinition": "apiextensions.k8s.io/v1"}
	f.Fuzz(func(t *testing.T, kind, text string) {
		u := &unstructured.Unstructured{}
		if json.Unmarshal([]byte(text), &u.Object) != nil || u.Object == nil {
			t.Skip()
		}
		version := groups[kind]
		if version == "" {
			version = "v1"
		}
		u.SetAPIVersion(version)
		u.SetKind(kind)
		got := Judge(u, nil)
		if got.Status == "" || strings.Contains(got.Message, "malformed") {
			t.Errorf("got %+v", got) // JSON needs no net
		}
		if again := Judge(u, nil); again != got {
			t.Errorf("first %+v, then %+v", got, again)
		}
	})
}
