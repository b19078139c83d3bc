package fluxtest

import (
	"testing"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/acl"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/apis/meta"

	"github.com/sluice-dev/sluice/internal/labtest/artifacts"
)

const misspelt = `
-- objects.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: $ID}
---
piVersion: pkg.example.com/v1
kind: Provider
metadata: {name: provider}
`

// kustomization_validation_test.go: YAML that is no object fails the build
// (BuildFailed), with a kustomization.yaml and without; lastAttemptedRevision
// says which revision that was.
func TestInvalidFiles(t *testing.T) {
	overlay := misspelt + "-- kustomization.yaml --\n{apiVersion: kustomize.config.k8s.io/v1beta1, kind: Kustomization, resources: [objects.yaml]}\n"
	for what, files := range map[string]string{"plain": misspelt, "overlay": overlay} {
		t.Run(what, func(t *testing.T) {
			w := enter(t)
			w.publish("main/1", w.files(files))
			w.kustomization(name)
			k := w.until(name, "failing", failing(meta.BuildFailedReason))
			if k.Status.LastAttemptedRevision != "main/1" || w.hasConfig(w.id) {
				t.Errorf("attempted %q, ConfigMap there: %v", k.Status.LastAttemptedRevision, w.hasConfig(w.id))
			}
		})
	}
}

// kustomization_fetcher_test.go: an artifact that the source promises and its
// server does not have is "artifact not found", and is fetched once it is there.
// (Flux's test moves the URL of an artifact that was fetched before, which says
// nothing to a controller that knows the content by its digest.)
func TestArtifactIsMissing(t *testing.T) {
	w := enter(t)
	w.publish("v1.0.0", w.files(oneConfig))
	w.kustomization(name, often, checks("ConfigMap", w.id))
	w.until(name, "at v1.0.0", at("v1.0.0"))
	next := artifacts.Source{Revision: "v2.0.0", Files: w.files(twoKeys, "$VALUE", "v2"), Withheld: true}
	w.publishAs(next)
	w.until(name, "without its artifact", failing(meta.ArtifactFailedReason, "artifact not found"))
	next.Withheld = false
	w.publishAs(next)
	w.until(name, "at v2.0.0", at("v2.0.0"))
}

// kustomization_configuration_error_test.go, invalid CEL expression: Ready=False
// and Stalled=True, InvalidCELExpression, with the parser's words; the generation
// is observed.
func TestInvalidExpression(t *testing.T) {
	w := enter(t)
	w.publish("v1.0.0", w.files(oneConfig))
	w.kustomization(name, prunes, waits, timeout(time.Second),
		judges("v1", "ConfigMap", kustomize.HealthCheckExpressions{InProgress: "foo.", Current: "true"}))
	halted := stalled(meta.InvalidCELExpressionReason,
		"failed to create custom status evaluator for healthchecks[0]: failed to parse the expression InProgress: "+
			"failed to parse the CEL expression 'foo.': ERROR: <input>:1:5: Syntax error: no viable alternative at input '.'")
	// Flux writes the observed generation a moment after the rest.
	w.until(name, "stalled, and its generation observed", func(k *kustomizev1.Kustomization) bool {
		return halted(k) && k.Status.ObservedGeneration == k.Generation
	})
}

// kustomization_configuration_error_test.go, workload identity: an account for
// decryption needs a feature gate. Without it Ready=False and Stalled=True,
// FeatureGateDisabled, and the generation is not observed (-1), because with the
// gate it could be; with it the Kustomization is ready. (Sluice does not decrypt
// yet, and says that instead.)
func TestDecryptionAccountNeedsAGate(t *testing.T) {
	w := enter(t)
	w.publish("v1.0.0", w.files(oneConfig))
	w.kustomization(name, prunes, func(k *kustomizev1.Kustomization) {
		k.Spec.Decryption = &kustomizev1.Decryption{Provider: "sops", ServiceAccountName: "foo"}
	})
	if !isFlux() {
		w.until(name, "stalled", stalled("UnsupportedField", "spec.decryption"))
		return
	}
	k := w.until(name, "stalled", stalled(meta.FeatureGateDisabledReason,
		"to use spec.decryption.serviceAccountName for decryption authentication please enable the ObjectLevelWorkloadIdentity feature gate in the controller"))
	if k.Status.ObservedGeneration != -1 {
		t.Errorf("observed generation %d, want -1", k.Status.ObservedGeneration)
	}
	w.hand(name, w.engine(gates("ObjectLevelWorkloadIdentity=true")))
	w.until(name, "at v1.0.0", at("v1.0.0"))
}

// kustomization_acl_test.go: a source of another namespace is read, unless
// --no-cross-namespace-refs is set: then Ready=False and Stalled=True,
// AccessDenied.
func TestSourceOfAnotherNamespace(t *testing.T) {
	w := enter(t)
	elsewhere := w.addNamespace(w.client, w.id+"-source")
	publish := func(revision string) {
		_, err := w.artifacts.Publish(w.Context(), w.client, artifacts.Source{Namespace: elsewhere, Name: source, Revision: revision, Files: w.files(oneConfig)})
		w.must(err)
	}
	publish("v1.0.0")
	w.kustomization(name, often, func(k *kustomizev1.Kustomization) { k.Spec.SourceRef.Namespace = elsewhere })
	w.until(name, "at v1.0.0", at("v1.0.0"))
	w.hand(name, w.engine("--no-cross-namespace-refs"))
	publish("v2.0.0")
	w.until(name, "refused", stalled(acl.AccessDeniedReason))
}

// kustomization_externalartifact_test.go: an ExternalArtifact is a source if a
// feature gate allows it: three Events tell of the objects created, of their
// health and of the end; a new revision with the same content is one entry in
// the history, counted twice. Without the gate it is AccessDenied, Stalled, and
// an Event says that the gate is disabled.
func TestExternalArtifact(t *testing.T) {
	w := enter(t)
	allowed := w.engine(gates("ExternalArtifact=true", supersedes))
	src := artifacts.Source{Kind: "ExternalArtifact", Revision: "v1.0.0", Files: w.files(oneConfig)}
	w.publishAs(src)
	w.kustomization(name, waits, func(k *kustomizev1.Kustomization) {
		k.Labels[shardLabel] = allowed.shard
		k.Spec.SourceRef.Kind = "ExternalArtifact"
	})
	w.until(name, "at v1.0.0", at("v1.0.0"))
	w.event(name, about{reason: meta.ProgressingReason, text: "created", revision: "v1.0.0"})
	w.event(name, about{reason: meta.ProgressingReason, text: "check passed", revision: "v1.0.0"})
	w.event(name, about{reason: meta.ReconciliationSucceededReason, text: "finished", revision: "v1.0.0"})

	src.Revision = "v2.0.0"
	w.publishAs(src)
	k := w.until(name, "at v2.0.0", at("v2.0.0"))
	w.snapshot(k, 1, 2, meta.ReconciliationSucceededReason, "v2.0.0")

	w.hand(name, w.shared)
	src.Revision = "v3.0.0"
	w.publishAs(src)
	w.until(name, "refused", stalled(acl.AccessDeniedReason))
	w.event(name, about{reason: acl.AccessDeniedReason, text: "feature gate is disabled"})
}
