package fluxtest

import (
	"testing"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/kustomize"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

const annotatedConfig = `
-- config.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: $ID, annotations: {tenant: test}}
data: {key: val}
`

// kustomization_transformer_test.go CommonMetadata: its labels and annotations
// go over those of the objects, and go away with it.
func TestCommonMetadata(t *testing.T) {
	w := enter(t)
	w.publish("v1.0.0", w.files(annotatedConfig))
	both := map[string]string{"tenant": w.id}
	w.kustomization(name, func(k *kustomizev1.Kustomization) {
		k.Spec.CommonMetadata = &kustomizev1.CommonMetadata{Labels: both, Annotations: both}
	})
	w.conforms(w.until(name, "ready", succeeded))
	var cm corev1.ConfigMap
	if w.get(&cm, w.id); cm.Labels["tenant"] != w.id || cm.Annotations["tenant"] != w.id {
		t.Errorf("labels %v, annotations %v", cm.Labels, cm.Annotations)
	}
	w.edit(name, func(k *kustomizev1.Kustomization) { k.Spec.CommonMetadata = nil })
	w.conforms(w.until(name, "ready without", func(k *kustomizev1.Kustomization) bool { return succeeded(k) && k.Generation == 2 }))
	cm = corev1.ConfigMap{}
	if w.get(&cm, w.id); cm.Labels["tenant"] != "" || cm.Annotations["tenant"] != "test" {
		t.Errorf("without it, labels %v, annotations %v", cm.Labels, cm.Annotations)
	}
}

// kustomization_transformer_test.go NamePrefixSuffix.
func TestNamePrefixAndSuffix(t *testing.T) {
	w := enter(t)
	w.publish("v1.0.0", w.files(annotatedConfig))
	w.kustomization(name, func(k *kustomizev1.Kustomization) { k.Spec.NamePrefix, k.Spec.NameSuffix = "prefix-", "-suffix" })
	w.conforms(w.until(name, "ready", succeeded))
	if !w.hasConfig("prefix-" + w.id + "-suffix") {
		t.Error("the object is not there")
	}
}

// kustomization_transformer_test.go BuildMetadata: originAnnotations annotates
// objects with where they come from; without it the annotation goes away.
func TestBuildMetadata(t *testing.T) {
	w := enter(t)
	w.publish("v1.0.0", w.files(oneConfig))
	w.kustomization(name, prunes, func(k *kustomizev1.Kustomization) {
		k.Spec.BuildMetadata = []kustomizev1.BuildMetadataOption{kustomizev1.BuildMetadataOriginAnnotations}
	})
	annotated := func() bool {
		var cm corev1.ConfigMap
		w.get(&cm, w.id)
		_, found := cm.Annotations["config.kubernetes.io/origin"]
		return found
	}
	w.conforms(w.until(name, "ready", succeeded))
	if !annotated() {
		t.Error("no origin")
	}
	w.edit(name, func(k *kustomizev1.Kustomization) { k.Spec.BuildMetadata = nil })
	w.conforms(w.until(name, "ready without", func(k *kustomizev1.Kustomization) bool { return succeeded(k) && k.Generation == 2 }))
	if annotated() {
		t.Error("the origin stays")
	}
}

// kustomization_transformer_test.go FluxTransformers: images and patches of the
// Kustomization are built in: a new name and tag, a digest, a JSON patch found
// by labels, and a strategic merge without a target.
func TestImagesAndPatches(t *testing.T) {
	w := enter(t)
	const digest = "sha256:2832f53c577d44753e97b0ed5f00e7e3a06979c9fab77d0e78bdac4b612b14fb"
	w.publish("v1.0.0", w.files(`
-- deployment.yaml --
apiVersion: apps/v1
kind: Deployment
metadata: {name: podinfo, labels: {app: podinfo}}
spec:
  selector: {matchLabels: {app: podinfo}}
  template:
    metadata: {labels: {app: podinfo}}
    spec: {containers: [{name: podinfo, image: podinfo}, {name: flagger, image: ghcr.io/fluxcd/flagger}]}
`))
	w.kustomization(name, func(k *kustomizev1.Kustomization) {
		k.Spec.Images = []kustomize.Image{
			{Name: "podinfo", NewName: "ghcr.io/stefanprodan/podinfo", NewTag: "5.2.0"},
			{Name: "ghcr.io/fluxcd/flagger", Digest: digest},
		}
		k.Spec.Patches = []kustomize.Patch{
			{Patch: "- {op: add, path: /metadata/labels/patch1, value: inline-json}", Target: &kustomize.Selector{LabelSelector: "app=podinfo"}},
			{Patch: "{apiVersion: apps/v1, kind: Deployment, metadata: {name: podinfo, labels: {patch2: inline-yaml}}}"},
		}
	})
	w.until(name, "at v1.0.0", at("v1.0.0"))
	var d appsv1.Deployment
	w.get(&d, "podinfo")
	c := d.Spec.Template.Spec.Containers
	w.equal([]string{d.Labels["patch1"], d.Labels["patch2"], c[0].Image, c[1].Image},
		[]string{"inline-json", "inline-yaml", "ghcr.io/stefanprodan/podinfo:5.2.0", "ghcr.io/fluxcd/flagger@" + digest})
}

func remove(kind, called string) string {
	return "$patch: delete\napiVersion: v1\nkind: " + kind + "\nmetadata: {name: " + called + "}\n"
}

// kustomization_patch_delete_test.go: several objects can be patched away by one
// patch of several documents, or by one patch each.
func TestPatchesThatDelete(t *testing.T) {
	for what, patches := range map[string][]kustomize.Patch{
		"one patch":    {{Patch: remove("ConfigMap", "cm1") + "---\n" + remove("ConfigMap", "cm2")}},
		"a patch each": {{Patch: remove("ConfigMap", "cm1")}, {Patch: remove("ConfigMap", "cm2")}},
	} {
		t.Run(what, func(t *testing.T) {
			w := enter(t)
			w.publish("v1.0.0", w.files(`
-- configs.yaml --
{apiVersion: v1, kind: ConfigMap, metadata: {name: cm1}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: cm2}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: cm3}}
`))
			w.kustomization(name, prunes, func(k *kustomizev1.Kustomization) { k.Spec.Patches = patches })
			w.until(name, "at v1.0.0", at("v1.0.0"))
			if w.hasConfig("cm1") || w.hasConfig("cm2") || !w.hasConfig("cm3") {
				t.Errorf("cm1: %v, cm2: %v, cm3: %v", w.hasConfig("cm1"), w.hasConfig("cm2"), w.hasConfig("cm3"))
			}
			w.remove(name)
		})
	}
}
