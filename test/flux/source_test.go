package fluxtest

import (
	"slices"
	"testing"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/internal/labtest/artifacts"
)

// kustomization_origin_revision_test.go: the revision that an artifact was made
// from is in lastAppliedOriginRevision, in the history beside the revision, and
// an annotation of every Event; the entry of the history has a digest, a count,
// times and a duration.
func TestOriginRevision(t *testing.T) {
	w := enter(t)
	w.publishAs(artifacts.Source{
		Revision: "v1.0.0", Files: w.files(oneConfig), Metadata: map[string]string{"org.opencontainers.image.revision": "orev"},
	})
	w.kustomization(name)
	k := w.until(name, "at v1.0.0", at("v1.0.0"))
	w.snapshot(k, 1, 1, meta.ReconciliationSucceededReason, "v1.0.0")
	w.snapshot(k, 1, 1, meta.ReconciliationSucceededReason, "orev")
	h := k.Status.History[0]
	if k.Status.LastAppliedOriginRevision != "orev" || h.Digest == "" || h.FirstReconciled.IsZero() || h.LastReconciled.IsZero() || h.LastReconciledDuration.Duration <= 0 {
		t.Errorf("origin revision %q, history %+v", k.Status.LastAppliedOriginRevision, h)
	}
	w.event(name, about{kind: "Normal", revision: "v1.0.0"})
	for _, e := range w.events(name) {
		if e.Annotations[originRevisionKey] != "orev" {
			t.Errorf("%s: %s has annotations %v", e.Reason, e.Message, e.Annotations)
		}
	}
}

// kustomization_commit_status_test.go: a success is an Event
// ReconciliationSucceeded with the revision, unless a feature gate turns it off.
func TestSuccessIsAnEvent(t *testing.T) {
	w := enter(t)
	w.publish("v1.0.0", w.files(oneConfig))
	w.kustomization(name)
	w.until(name, "at v1.0.0", at("v1.0.0"))
	w.event(name, about{reason: meta.ReconciliationSucceededReason, revision: "v1.0.0"})

	quiet := w.engine(gates("DisableCommitStatusEvent=true"))
	w.kustomization("quiet", func(k *kustomizev1.Kustomization) {
		k.Labels[shardLabel] = quiet.shard
		k.Spec.NamePrefix = "quiet-"
	})
	w.until("quiet", "at v1.0.0", at("v1.0.0"))
	w.event("quiet", about{text: "created"})
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if slices.ContainsFunc(eventReasons(w, "quiet"), func(r string) bool { return r == meta.ReconciliationSucceededReason }) {
			t.Fatal("there is an Event all the same")
		}
	}
}

func eventReasons(w *world, called string) []string {
	var reasons []string
	for _, e := range w.events(called) {
		reasons = append(reasons, e.Reason)
	}
	return reasons
}

// kustomization_direct_source_fetch_test.go: with the gate DirectSourceFetch
// sources are read as without it: one with an artifact is applied, one that does
// not exist is ArtifactFailed, one without an artifact is waited for.
func TestDirectSourceFetch(t *testing.T) {
	w := enter(t)
	direct := w.engine(gates("DirectSourceFetch=true"))
	w.publish("v1.0.0", w.files(oneConfig))
	hour := metav1.Duration{Duration: time.Hour}
	about := metav1.ObjectMeta{Namespace: w.id, Name: source}
	w.create(&sourcev1.OCIRepository{ObjectMeta: about, Spec: sourcev1.OCIRepositorySpec{URL: "oci://example.com/org/app", Interval: hour}})
	w.create(&sourcev1.Bucket{ObjectMeta: about, Spec: sourcev1.BucketSpec{BucketName: "bucket", Endpoint: "example.com", Interval: hour}})
	hasConditions := func(k *kustomizev1.Kustomization) bool { return len(k.Status.Conditions) > 0 && !succeeded(k) }
	for called, tt := range map[string]struct {
		kind, source string
		want         func(*kustomizev1.Kustomization) bool
	}{
		"git":     {"GitRepository", source, at("v1.0.0")},
		"missing": {"GitRepository", "missing", failing(meta.ArtifactFailedReason)},
		"oci":     {"OCIRepository", source, hasConditions},
		"bucket":  {"Bucket", source, hasConditions},
	} {
		w.kustomization(called, func(k *kustomizev1.Kustomization) {
			k.Labels[shardLabel] = direct.shard
			k.Spec.SourceRef.Kind, k.Spec.SourceRef.Name = tt.kind, tt.source
		})
		w.until(called, "as expected", tt.want)
	}
}
