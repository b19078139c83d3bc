package fluxtest

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// What both ways of writing transformations start from.
const quotaAndDeployment = `
-- quota.yaml --
apiVersion: v1
kind: ResourceQuota
metadata: {name: common, namespace: elsewhere}
spec: {hard: {limits.cpu: "1", limits.memory: 1Gi}}
-- deployment.yaml --
apiVersion: apps/v1
kind: Deployment
metadata: {name: podinfo, labels: {app: podinfo}}
spec:
  replicas: 1
  selector: {matchLabels: {app: podinfo}}
  template:
    metadata: {labels: {app: podinfo}}
    spec: {containers: [{name: podinfo, image: podinfo}]}
-- patch.yaml --
apiVersion: apps/v1
kind: Deployment
metadata: {name: podinfo, labels: {app.kubernetes.io/version: 1.21.0}}
`

// All transformations as fields of kustomization.yaml.
const transformationsAsFields = quotaAndDeployment + `
-- kustomization.yaml --
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [quota.yaml, deployment.yaml]
namespace: $ID
namePrefix: test-
nameSuffix: -transform
commonAnnotations: {test: annotations}
commonLabels: {test: labels}
images: [{name: podinfo, newTag: 6.0.0}]
replicas: [{name: podinfo, count: 2}]
configMapGenerator: [{name: metas, literals: [limits.cpu=16, limits.memory=24Gi]}]
secretGenerator: [{name: secret, literals: [username=admin, password=password]}]
patchesStrategicMerge:
- |-
  apiVersion: apps/v1
  kind: Deployment
  metadata: {name: podinfo}
  spec: {template: {spec: {serviceAccountName: test}}}
patchesJson6902:
- target: {version: v1, kind: Deployment, name: podinfo}
  patch: |-
    - {op: add, path: /metadata/labels/patch, value: json6902}
patches: [{path: patch.yaml, target: {kind: Deployment, name: podinfo}}]
replacements:
- source: {kind: ConfigMap, name: metas, fieldPath: "data.[limits.memory]"}
  targets: [{select: {name: common, kind: ResourceQuota}, fieldPaths: ["spec.hard.[limits.memory]"]}]
`

// The same, each in a file of its own.
const transformationsAsFiles = quotaAndDeployment + `
-- kustomization.yaml --
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [quota.yaml, deployment.yaml]
generators: [configmap.yaml, secret.yaml]
transformers: [annotations.yaml, labels.yaml, image.yaml, namespace.yaml, patch-file.yaml, json.yaml, merge.yaml, names.yaml, replicas.yaml, replacement.yaml]
-- configmap.yaml --
{apiVersion: builtin, kind: ConfigMapGenerator, metadata: {name: metas}, literals: [limits.cpu=16, limits.memory=24Gi]}
-- secret.yaml --
{apiVersion: builtin, kind: SecretGenerator, metadata: {name: secret}, literals: [username=admin, password=password]}
-- annotations.yaml --
{apiVersion: builtin, kind: AnnotationsTransformer, metadata: {name: x}, annotations: {test: annotations}, fieldSpecs: [{path: metadata/annotations, create: true}]}
-- labels.yaml --
apiVersion: builtin
kind: LabelTransformer
metadata: {name: x}
labels: {test: labels}
fieldSpecs:
- {path: metadata/labels, create: true}
- {path: spec/selector/matchLabels, create: true, kind: Deployment}
- {path: spec/template/metadata/labels, create: true, kind: Deployment}
-- image.yaml --
{apiVersion: builtin, kind: ImageTagTransformer, metadata: {name: x}, imageTag: {name: podinfo, newTag: 6.0.0}, fieldSpecs: [{path: "spec/template/spec/containers[]/image"}]}
-- namespace.yaml --
{apiVersion: builtin, kind: NamespaceTransformer, metadata: {name: x, namespace: $ID}, fieldSpecs: [{path: metadata/namespace, create: true}]}
-- patch-file.yaml --
{apiVersion: builtin, kind: PatchTransformer, metadata: {name: x}, path: patch.yaml}
-- json.yaml --
apiVersion: builtin
kind: PatchJson6902Transformer
metadata: {name: x}
target: {group: apps, version: v1, kind: Deployment, name: podinfo}
jsonOp: '[{"op": "add", "path": "/metadata/labels/patch", "value": "json6902"}]'
-- merge.yaml --
apiVersion: builtin
kind: PatchStrategicMergeTransformer
metadata: {name: x}
patches: |-
  apiVersion: apps/v1
  kind: Deployment
  metadata: {name: podinfo}
  spec: {template: {spec: {serviceAccountName: test}}}
-- names.yaml --
{apiVersion: builtin, kind: PrefixSuffixTransformer, metadata: {name: x}, prefix: test-, suffix: -transform, fieldSpecs: [{path: metadata/name}]}
-- replicas.yaml --
{apiVersion: builtin, kind: ReplicaCountTransformer, metadata: {name: x}, replica: {count: 2, name: podinfo}, fieldSpecs: [{path: spec/replicas, create: true, kind: Deployment}]}
-- replacement.yaml --
apiVersion: builtin
kind: ReplacementTransformer
metadata: {name: x}
replacements:
- source: {kind: ConfigMap, name: metas, fieldPath: "data.[limits.memory]"}
  targets: [{select: {name: common, kind: ResourceQuota}, fieldPaths: ["spec.hard.[limits.memory]"]}]
`

// kustomization_transformer_test.go KustomizeTransformer and
// KustomizeTransformerFiles: every transformation of kustomize arrives in the
// cluster, whether it is a field of kustomization.yaml or a file of its own:
// namespace, prefix and suffix, replacements, annotations, labels, generated
// ConfigMap and Secret, patches of the three kinds, image, replicas.
func TestKustomizeTransformations(t *testing.T) {
	for what, files := range map[string]string{"fields": transformationsAsFields, "files": transformationsAsFiles} {
		t.Run(what, func(t *testing.T) {
			w := enter(t)
			w.publish("v1.0.0", w.files(files))
			w.kustomization(name, anywhere)
			w.until(name, "at v1.0.0", at("v1.0.0"))
			var quota corev1.ResourceQuota
			w.get(&quota, "test-common-transform")
			memory := quota.Spec.Hard[corev1.ResourceLimitsMemory]
			w.equal([]string{memory.String(), quota.Annotations["test"], quota.Labels["test"]}, []string{"24Gi", "annotations", "labels"})
			var d appsv1.Deployment
			w.get(&d, "test-podinfo-transform")
			pod := d.Spec.Template.Spec
			w.equal([]string{d.Labels["patch"], d.Labels["app.kubernetes.io/version"], pod.ServiceAccountName, pod.Containers[0].Image},
				[]string{"json6902", "1.21.0", "test", "podinfo:6.0.0"})
			if *d.Spec.Replicas != 2 {
				t.Errorf("%d replicas", *d.Spec.Replicas)
			}
			w.generated("test-metas-transform", "test-secret-transform")
		})
	}
}

// generated looks for a ConfigMap and a Secret, whose names end in a hash.
func (w *world) generated(config, secret string) {
	w.Helper()
	var configs corev1.ConfigMapList
	w.must(w.client.List(w.Context(), &configs, client.InNamespace(w.id)))
	var secrets corev1.SecretList
	w.must(w.client.List(w.Context(), &secrets, client.InNamespace(w.id)))
	if !slices.ContainsFunc(configs.Items, func(o corev1.ConfigMap) bool { return strings.HasPrefix(o.Name, config) }) ||
		!slices.ContainsFunc(secrets.Items, func(o corev1.Secret) bool { return strings.HasPrefix(o.Name, secret) }) {
		w.Errorf("%s or %s is not there", config, secret)
	}
}
