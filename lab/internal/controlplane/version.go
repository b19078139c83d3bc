package controlplane

import (
	"runtime/debug"

	apimachineryversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/component-base/compatibility"
	kasapp "k8s.io/kubernetes/cmd/kube-apiserver/app"
)

// KubernetesVersion is the version of the Kubernetes that is built in, as the
// module graph of this binary has it.
func KubernetesVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "k8s.io/kubernetes" {
				return module.Version
			}
		}
	}
	return "unknown"
}

// tellVersion makes /version answer with the real version. As a library
// Kubernetes calls itself v0.0.0-master, which tools such as Helm take for too old.
func tellVersion(config *kasapp.Config) {
	wrap := func(v compatibility.EffectiveVersion) compatibility.EffectiveVersion {
		return toldVersion{EffectiveVersion: v, gitVersion: KubernetesVersion()}
	}
	config.Aggregator.GenericConfig.EffectiveVersion = wrap(config.Aggregator.GenericConfig.EffectiveVersion)
	config.KubeAPIs.ControlPlane.Generic.EffectiveVersion = wrap(config.KubeAPIs.ControlPlane.Generic.EffectiveVersion)
}

type toldVersion struct {
	compatibility.EffectiveVersion
	gitVersion string
}

func (v toldVersion) Info() *apimachineryversion.Info {
	info := v.EffectiveVersion.Info()
	info.GitVersion, info.GitTreeState = v.gitVersion, "clean"
	return info
}
