package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"github.com/sluice-dev/sluice/lab/internal/controlplane"
	"github.com/sluice-dev/sluice/lab/internal/crstatus"
	"github.com/sluice-dev/sluice/lab/internal/foreground"
	"github.com/sluice-dev/sluice/lab/internal/simulate"
)

var clusterName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

func cluster(args []string, stdin io.Reader, stdout io.Writer) error {
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	name := flags.String("name", "", "")
	dir := flags.String("dir", "", "")
	port := flags.Int("port", 0, "")
	line := flags.Bool("lifeline", false, "")
	if help, err := parse(flags, args, stdout); help || err != nil {
		return err
	}
	switch {
	case !clusterName.MatchString(*name):
		return misuse{fmt.Errorf("cluster: --name %q must be lower case letters, digits and dashes", *name)}
	case *dir == "":
		return misuse{errors.New("cluster: --dir is required")}
	case *port < 0 || *port > 65535:
		return misuse{fmt.Errorf("cluster: --port %d is not a port", *port)}
	}
	serve := func(ctx context.Context, owner *foreground.Owner) error {
		return serveCluster(ctx, owner, controlplane.Options{Name: *name, Dir: owner.Dir, Port: *port})
	}
	return foreground.Run(serve, foreground.Options{Dir: *dir, Lifeline: lifeline(*line, stdin), Stdout: stdout})
}

// address is the ready line of a cluster.
type address struct {
	Name       string `json:"name"`
	Server     string `json:"server"`
	Kubeconfig string `json:"kubeconfig"`
}

// serveCluster starts the control plane and the simulations, and stops them in
// the opposite order: simulations, controllers, API server, etcd.
func serveCluster(ctx context.Context, owner *foreground.Owner, o controlplane.Options) error {
	// Kubernetes ends the process itself when a start-up hook fails.
	klog.OsExit = func(int) { owner.Die("a Kubernetes component gave up") }
	go controlplane.KeepSmall(ctx)

	plane, err := controlplane.Start(ctx, o)
	if err != nil {
		return err
	}
	defer plane.Stop()

	simulating, stop := context.WithCancel(context.WithoutCancel(ctx))
	simulator, err := simulate.Start(simulating, plane.Client, simulate.Options{KubeletVersion: controlplane.KubernetesVersion()})
	if err != nil {
		stop()
		return err
	}
	statuses, err := crstatus.Start(simulating, plane.Config)
	if err != nil {
		stop()
		return err
	}
	defer func() {
		stop()
		simulator.Wait()
		statuses.Wait()
	}()

	if err := waitServing(ctx, plane.Client); err != nil {
		return err
	}
	if err := owner.Ready(address{Name: o.Name, Server: plane.Server, Kubeconfig: plane.Kubeconfig}); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-plane.Ended:
		return err
	}
}

// waitServing returns when a user's first command would find a complete cluster.
func waitServing(ctx context.Context, client kubernetes.Interface) error {
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		missing := notServing(ctx, client)
		if missing == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", missing, ctx.Err())
		case <-tick.C:
		}
	}
}

// notServing names the first thing that is missing.
func notServing(ctx context.Context, client kubernetes.Interface) string {
	get := metav1.GetOptions{}
	if _, err := client.CoreV1().ServiceAccounts("default").Get(ctx, "default", get); err != nil {
		return "the ServiceAccount of namespace default"
	}
	if _, err := client.CoreV1().ConfigMaps("default").Get(ctx, "kube-root-ca.crt", get); err != nil {
		return "the CA certificate in namespace default"
	}
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil || len(nodes.Items) < 3 {
		return "the nodes"
	}
	for _, node := range nodes.Items {
		if !isReady(node) {
			return "node " + node.Name
		}
	}
	return ""
}

func isReady(node corev1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}
