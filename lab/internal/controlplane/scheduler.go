package controlplane

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
	fwk "k8s.io/kube-scheduler/framework"
	schedapp "k8s.io/kubernetes/cmd/kube-scheduler/app"
	schedoptions "k8s.io/kubernetes/cmd/kube-scheduler/app/options"

	"github.com/sluice-dev/sluice/lab/internal/steer"
)

const schedulerConfig = `apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection: {kubeconfig: %q, qps: 500, burst: 1000}
leaderElection: {leaderElect: false}
profiles:
- schedulerName: default-scheduler
  plugins: {preFilter: {enabled: [{name: LabSteering}]}}
`

// startScheduler runs the real scheduler with one plugin more: the one that
// refuses pods which ask to be unschedulable.
func startScheduler(ctx context.Context, configFile, kubeconfig string) (<-chan error, error) {
	if err := os.WriteFile(configFile, fmt.Appendf(nil, schedulerConfig, kubeconfig), 0o600); err != nil {
		return nil, fmt.Errorf("writing the configuration of kube-scheduler: %w", err)
	}
	opts := schedoptions.NewOptions()
	set := pflag.NewFlagSet("kube-scheduler", pflag.ContinueOnError)
	for _, fs := range opts.Flags.FlagSets {
		set.AddFlagSet(fs)
	}
	if err := set.Parse([]string{"--config=" + configFile, "--secure-port=0"}); err != nil {
		return nil, fmt.Errorf("configuring kube-scheduler: %w", err)
	}
	if err := opts.ComponentGlobalsRegistry.Set(); err != nil {
		return nil, fmt.Errorf("configuring kube-scheduler: %w", err)
	}
	var err error
	if opts.InformerName, err = cache.NewInformerName("kube-scheduler"); err != nil {
		return nil, fmt.Errorf("configuring kube-scheduler: %w", err)
	}
	config, scheduler, err := schedapp.Setup(ctx, opts, schedapp.WithPlugin("LabSteering", newSteering))
	if err != nil {
		return nil, fmt.Errorf("configuring kube-scheduler: %w", err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- schedapp.Run(ctx, config, scheduler) }()
	return stopped, nil
}

type steering struct{}

func newSteering(context.Context, runtime.Object, fwk.Handle) (fwk.Plugin, error) {
	return steering{}, nil
}

func (steering) Name() string { return "LabSteering" }

func (steering) PreFilterExtensions() fwk.PreFilterExtensions { return nil }

func (steering) PreFilter(_ context.Context, _ fwk.CycleState, pod *corev1.Pod, _ []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	if wish, _ := steer.Read(pod.Annotations, steer.PodBehaviors); wish.Behavior == steer.Unschedulable {
		return nil, fwk.NewStatus(fwk.UnschedulableAndUnresolvable,
			fmt.Sprintf("pod asks for it by %s: %s", steer.BehaviorAnnotation, steer.Unschedulable))
	}
	return nil, nil
}
