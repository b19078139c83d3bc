package delivertest

import (
	"fmt"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
)

func configMap(name, version string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: ConfigMap
metadata: {name: %s}
data: {version: "%s"}
`, name, version)
}

// deployment of one pod; annotations of the pod steer the lab.
func deployment(name, version, annotations string) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: 1
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata:
      labels: {app: %[1]s}
      annotations: {version: "%[2]s"%[3]s}
    spec:
      containers: [{name: app, image: "example.com/app:%[2]s"}]
`, name, version, annotations)
}

const hangs = `, lab.sluice.dev/behavior: hang`

func dependsOn(names ...string) func(*kustomizev1.Kustomization) {
	return func(k *kustomizev1.Kustomization) {
		for _, name := range names {
			k.Spec.DependsOn = append(k.Spec.DependsOn, kustomizev1.DependencyReference{Name: name})
		}
	}
}
