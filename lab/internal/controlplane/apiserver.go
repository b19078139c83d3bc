package controlplane

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/spf13/pflag"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	kasapp "k8s.io/kubernetes/cmd/kube-apiserver/app"
	kasoptions "k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

func apiServerFlags(etcdURL string, c *credentials) []string {
	return []string{
		"--etcd-servers=" + etcdURL,
		"--etcd-compaction-interval=1m",
		"--event-ttl=15m",
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		// Endpoints of the "kubernetes" Service may not be loopback addresses.
		"--endpoint-reconciler-type=none",
		"--tls-cert-file=" + c.certFile,
		"--tls-private-key-file=" + c.keyFile,
		"--token-auth-file=" + c.tokensFile,
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-signing-key-file=" + c.serviceAccountKey,
		"--service-account-key-file=" + c.serviceAccountKey,
		"--service-cluster-ip-range=10.96.0.0/16",
		"--allow-privileged=true",
		// Without a node-lifecycle controller nobody would remove the not-ready
		// taint again, and nothing could be scheduled.
		"--disable-admission-plugins=TaintNodesByCondition",
		// Where "kubectl logs" is sent: the simulator, on loopback.
		"--kubelet-preferred-address-types=ExternalIP",
	}
}

// apiServer is a running kube-apiserver.
type apiServer struct {
	loopback *rest.Config // of the group system:masters, without client-side limits
	client   kubernetes.Interface
	stopped  chan error // one value, when it has ended
}

// startAPIServer takes over the listener and returns when /readyz says ok. The
// server ends with the context.
func startAPIServer(ctx context.Context, listener net.Listener, flags []string) (*apiServer, error) {
	opts := kasoptions.NewServerRunOptions()
	rest.SetDefaultWarningHandler(rest.NoWarnings{}) // for its own clients, as kube-apiserver does
	set := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	for _, fs := range opts.Flags().FlagSets {
		set.AddFlagSet(fs)
	}
	if err := set.Parse(flags); err != nil {
		return nil, fmt.Errorf("configuring kube-apiserver: %w", err)
	}
	opts.SecureServing.Listener = listener
	opts.SecureServing.BindPort = listener.Addr().(*net.TCPAddr).Port

	a, run, err := buildAPIServer(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("building kube-apiserver: %w", err)
	}
	a.stopped = make(chan error, 1)
	go func() { a.stopped <- run(ctx) }()
	if err := a.waitReady(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

// buildAPIServer follows kube-apiserver's own Run. Its cobra command is not used:
// that would install a signal handler, of which a process can have only one.
func buildAPIServer(ctx context.Context, opts *kasoptions.ServerRunOptions) (*apiServer, func(context.Context) error, error) {
	if err := opts.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return nil, nil, err
	}
	completed, err := opts.Complete(ctx)
	if err != nil {
		return nil, nil, err
	}
	if errs := completed.Validate(); len(errs) > 0 {
		return nil, nil, utilerrors.NewAggregate(errs)
	}
	if completed.InformerName, err = cache.NewInformerName("kube-apiserver"); err != nil {
		return nil, nil, err
	}
	config, err := kasapp.NewConfig(completed)
	if err != nil {
		return nil, nil, err
	}
	tellVersion(config)
	complete, err := config.Complete()
	if err != nil {
		return nil, nil, err
	}
	server, err := kasapp.CreateServerChain(complete)
	if err != nil {
		return nil, nil, err
	}
	loopback := rest.CopyConfig(server.GenericAPIServer.LoopbackClientConfig)
	loopback.QPS, loopback.UserAgent = -1, "sluice-lab"
	client, err := kubernetes.NewForConfig(loopback)
	if err != nil {
		return nil, nil, err
	}
	prepared, err := server.PrepareRun()
	if err != nil {
		return nil, nil, err
	}
	return &apiServer{loopback: loopback, client: client}, prepared.Run, nil
}

func (a *apiServer) waitReady(ctx context.Context) error {
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := a.client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); err == nil {
			return nil
		}
		select {
		case err := <-a.stopped:
			a.stopped <- err
			return fmt.Errorf("kube-apiserver ended while starting: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("waiting for kube-apiserver to be ready: %w", ctx.Err())
		case <-tick.C:
		}
	}
}
