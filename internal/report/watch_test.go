package report_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/labtest"
	"github.com/sluice-dev/sluice/internal/report"
)

// world is a namespace of the lab in which the test is the controller.
type world struct {
	*testing.T
	client    client.WithWatch
	namespace string
}

func enter(t *testing.T) *world {
	c := labtest.Client(t)
	return &world{T: t, client: c, namespace: labtest.Namespace(t, c)}
}

func (w *world) create(name string, needs ...string) {
	w.Helper()
	ks := &kustomizev1.Kustomization{}
	ks.Namespace, ks.Name = w.namespace, name
	ks.Spec.Interval.Duration, ks.Spec.SourceRef.Kind, ks.Spec.SourceRef.Name = time.Hour, "OCIRepository", "app"
	for _, need := range needs {
		ks.Spec.DependsOn = append(ks.Spec.DependsOn, meta.DependencyReference{Name: need})
	}
	if err := w.client.Create(w.Context(), ks); err != nil {
		w.Fatal(err)
	}
}

func (w *world) say(name string, status metav1.ConditionStatus, reason, message, applied string) {
	w.Helper()
	ks := &kustomizev1.Kustomization{}
	if err := w.client.Get(w.Context(), client.ObjectKey{Namespace: w.namespace, Name: name}, ks); err != nil {
		w.Fatal(err)
	}
	ks.Status.LastAppliedRevision = applied
	ks.Status.ObservedGeneration = ks.Generation
	ks.Status.Conditions = []metav1.Condition{{
		Type: "Ready", Status: status, Reason: reason, Message: message, ObservedGeneration: ks.Generation, LastTransitionTime: metav1.Now(),
	}}
	if err := w.client.Status().Update(w.Context(), ks); err != nil {
		w.Fatal(err)
	}
}

// lines is a writer that can be waited for.
type lines struct {
	mu      sync.Mutex
	text    strings.Builder
	written chan struct{}
}

func newLines() *lines { return &lines{written: make(chan struct{}, 1)} }

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	select {
	case l.written <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) await(t *testing.T, want string) {
	t.Helper()
	timeout := time.After(labtest.Patience)
	for !strings.Contains(l.String(), want) {
		select {
		case <-l.written:
		case <-timeout:
			t.Fatalf("no %q in:\n%s", want, l)
		}
	}
}

func TestRolloutIsShownUntilAllAreReady(t *testing.T) {
	w, out := enter(t), newLines()
	ended := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), labtest.Patience)
	defer cancel()
	go func() {
		ended <- report.Rollout(ctx, out, []report.Named{{Name: "east", Client: w.client}}, report.Options{Namespace: w.namespace})
	}()
	w.create("db")
	w.create("app", "db")
	out.await(t, "east  app  ◐ progressing")
	w.say("app", "False", "DependencyNotReady", "dependency is not ready", "")
	out.await(t, "east  app  ◌ waiting  dependency is not ready")
	w.say("db", "True", "ReconciliationSucceeded", "Applied", "v1@sha256:1")
	out.await(t, "east  db  ● ready  v1")
	select {
	case err := <-ended:
		t.Fatalf("ended too early: %v", err)
	default:
	}
	w.say("app", "True", "ReconciliationSucceeded", "Applied", "v1@sha256:1")
	if err := <-ended; err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	out.await(t, "east  app  ● ready  v1")
}

func TestRolloutSaysWhatIsLeft(t *testing.T) {
	w, out := enter(t), newLines()
	w.create("db")
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("the time is over")
	ended := make(chan error, 1)
	go func() {
		ended <- report.Rollout(ctx, out, []report.Named{{Name: "east", Client: w.client}}, report.Options{Namespace: w.namespace})
	}()
	w.say("db", "False", "BuildFailed", "no such file", "")
	out.await(t, "failed")
	cancel(over)
	err := <-ended
	if !errors.Is(err, over) || !strings.Contains(err.Error(), "in east db is failed (BuildFailed: no such file)") {
		t.Error(err)
	}
}

func TestWatchSeesWhatComesAndGoes(t *testing.T) {
	w := enter(t)
	ctx, cancel := context.WithTimeout(t.Context(), labtest.Patience)
	defer cancel()
	step := 0
	err := report.Watch(ctx, w.client, report.Scope{Namespace: w.namespace}, 0, func(s report.Snapshot) (bool, error) {
		switch {
		case step == 0:
			w.create("db")
			step = 1
		case step == 1 && len(s.Kustomizations) == 1:
			if err := w.client.Delete(ctx, s.Kustomizations[0].DeepCopy()); err != nil {
				return false, err
			}
			step = 2
		case step == 2 && len(s.Kustomizations) == 0:
			return true, nil
		}
		return false, s.Lost
	})
	if err != nil {
		t.Errorf("after step %d: %v", step, err)
	}
}
