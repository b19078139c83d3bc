package controlplane

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
	kcmapp "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	kcmoptions "k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
)

// controllers are those that workloads need. The others either need kubelets or
// a cloud, or belong to features that a lab has no use for.
var controllers = []string{
	"namespace", "serviceaccount", "serviceaccount-token", "root-ca-certificate-publisher", "clusterrole-aggregation",
	"garbage-collector", "deployment", "replicaset", "statefulset", "daemonset", "job", "cronjob", "ttl-after-finished",
	"endpointslice", "disruption", "resourcequota",
	// Without these two, claims and their namespaces would hang in Terminating.
	"persistentvolumeclaim-protection", "persistentvolume-protection",
	"pod-garbage-collector",
}

func controllerFlags(kubeconfig string, c *credentials) []string {
	var names []string
	for _, name := range controllers {
		names = append(names, name+"-controller")
	}
	return []string{
		"--kubeconfig=" + kubeconfig,
		"--secure-port=0",
		"--leader-elect=false",
		"--use-service-account-credentials=false",
		"--service-account-private-key-file=" + c.serviceAccountKey,
		"--root-ca-file=" + c.caFile,
		// The stock limit of 20 a second would cap roll-outs near 4 Deployments a second.
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
		"--controllers=" + strings.Join(names, ","),
	}
}

// startControllers returns when the controllers are about to run; the channel
// gets one value when all have ended.
func startControllers(ctx context.Context, flags []string) (<-chan error, error) {
	opts, err := kcmoptions.NewKubeControllerManagerOptions()
	if err != nil {
		return nil, fmt.Errorf("configuring kube-controller-manager: %w", err)
	}
	known, disabled, aliases := kcmapp.KnownControllers(), kcmapp.ControllersDisabledByDefault(), kcmapp.ControllerAliases()
	set := pflag.NewFlagSet("kube-controller-manager", pflag.ContinueOnError)
	for _, fs := range opts.Flags(known, disabled, aliases).FlagSets {
		set.AddFlagSet(fs)
	}
	if err := set.Parse(flags); err != nil {
		return nil, fmt.Errorf("configuring kube-controller-manager: %w", err)
	}
	if err := opts.ComponentGlobalsRegistry.Set(); err != nil {
		return nil, fmt.Errorf("configuring kube-controller-manager: %w", err)
	}
	config, err := opts.Config(ctx, known, disabled, aliases)
	if err != nil {
		return nil, fmt.Errorf("configuring kube-controller-manager: %w", err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- kcmapp.Run(ctx, config.Complete()) }()
	return stopped, nil
}
