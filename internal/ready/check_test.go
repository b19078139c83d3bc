package ready

import (
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
)

const revision = "latest@sha256:2"

// waiting is a Kustomization ns/app that depends on what is given.
func waiting(on ...meta.DependencyReference) *kustomizev1.Kustomization {
	k := &kustomizev1.Kustomization{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "app"}}
	k.Spec.SourceRef = kustomizev1.CrossNamespaceSourceReference{Kind: "OCIRepository", Name: "src"}
	k.Spec.DependsOn = on
	return k
}

// peer is a Kustomization ns/name that is ready at the revision.
func peer(name string, change ...func(*kustomizev1.Kustomization)) *kustomizev1.Kustomization {
	k := &kustomizev1.Kustomization{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, Generation: 3}}
	k.Spec.SourceRef = kustomizev1.CrossNamespaceSourceReference{Kind: "OCIRepository", Name: "src", Namespace: "ns"}
	k.Status.ObservedGeneration = 3
	k.Status.LastAppliedRevision = revision
	says("True", "ReconciliationSucceeded", "Applied")(k)
	for _, f := range change {
		f(k)
	}
	return k
}

func says(status metav1.ConditionStatus, reason, message string) func(*kustomizev1.Kustomization) {
	return func(k *kustomizev1.Kustomization) {
		k.Status.Conditions = []metav1.Condition{{Type: meta.ReadyCondition, Status: status, Reason: reason, Message: message}}
	}
}

func at(applied string) func(*kustomizev1.Kustomization) {
	return func(k *kustomizev1.Kustomization) { k.Status.LastAppliedRevision = applied }
}

func unseen(k *kustomizev1.Kustomization)     { k.Generation = 4 }
func paused(k *kustomizev1.Kustomization)     { k.Spec.Suspend = true }
func silent(k *kustomizev1.Kustomization)     { k.Status.Conditions = nil }
func elsewhere(k *kustomizev1.Kustomization)  { k.Spec.SourceRef.Namespace = "other" }
func fromBucket(k *kustomizev1.Kustomization) { k.Spec.SourceRef.Kind = "Bucket" }

func peers(list ...*kustomizev1.Kustomization) map[types.NamespacedName]*kustomizev1.Kustomization {
	found := map[types.NamespacedName]*kustomizev1.Kustomization{}
	for _, k := range list {
		found[types.NamespacedName{Namespace: k.Namespace, Name: k.Name}] = k
	}
	return found
}

func whys(o Outcome) []string {
	var list []string
	for _, w := range o.Waiting {
		list = append(list, w.Why)
	}
	return list
}

func TestBuiltIn(t *testing.T) {
	const notReady = "dependency 'ns/db' is not ready"
	tests := map[string]struct {
		peer *kustomizev1.Kustomization
		want string
	}{
		"ready":                                {peer("db"), ""},
		"ready, paused":                        {peer("db", paused), ""},
		"no conditions":                        {peer("db", silent), notReady + ": it has not been reconciled yet"},
		"an old verdict":                       {peer("db", unseen), notReady + ": generation 4 is not reconciled yet, the last was 3"},
		"not ready":                            {peer("db", says("False", "HealthCheckFailed", "timeout waiting\nfor more")), notReady + ": HealthCheckFailed: timeout waiting"},
		"unknown, paused":                      {peer("db", says("Unknown", "Progressing", ""), paused), notReady + ": Progressing; it is suspended"},
		"behind":                               {peer("db", at("latest@sha256:1")), "dependency 'ns/db' revision is not up to date: it has latest@sha256:1, the source has latest@sha256:2"},
		"never applied":                        {peer("db", at("")), "dependency 'ns/db' revision is not up to date: it has none, the source has latest@sha256:2"},
		"behind in another source's namespace": {peer("db", at("x"), elsewhere), ""},
		"behind in another kind of source":     {peer("db", at("x"), fromBucket), ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Check(waiting(meta.DependencyReference{Name: "db"}), revision, peers(test.peer), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if why := strings.Join(whys(got), "|"); why != test.want {
				t.Errorf("got  %s\nwant %s", why, test.want)
			}
		})
	}
}

func TestAllDependenciesAreLookedAt(t *testing.T) {
	self := waiting(
		meta.DependencyReference{Name: "gone"},
		meta.DependencyReference{Name: "db"},
		meta.DependencyReference{Namespace: "other", Name: "db"},
		meta.DependencyReference{Name: "cache"})
	got, err := Check(self, revision, peers(peer("db"), peer("cache", says("False", "BuildFailed", "no file"))), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := Outcome{Waiting: []Wait{
		{types.NamespacedName{Namespace: "ns", Name: "gone"}, "dependency 'ns/gone' not found"},
		{types.NamespacedName{Namespace: "other", Name: "db"}, "dependency 'other/db' not found"},
		{types.NamespacedName{Namespace: "ns", Name: "cache"}, "dependency 'ns/cache' is not ready: BuildFailed: no file"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNoArtifactIsNoRevision(t *testing.T) {
	got, err := Check(waiting(meta.DependencyReference{Name: "db"}), "", peers(peer("db", at(""))), Options{})
	if err != nil || len(got.Waiting) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
}
