// Package controlplane runs a real Kubernetes control plane in this process:
// etcd, kube-apiserver, the controllers that workloads need, and kube-scheduler.
//
// In: a directory that keeps its data, and a port. Out: a kubeconfig file, a
// client for the simulators, and word when a component ends by itself. It must
// never pretend: whatever it runs is the upstream code, and what stands in for
// kubelets lives in package simulate. One process can hold one control plane,
// because upstream components register themselves in globals of the process.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Options say what to run. Dir must be absolute.
type Options struct {
	Name string
	Dir  string
	Port int // 0: any free one
}

// Cluster is a running control plane.
type Cluster struct {
	Server     string
	Kubeconfig string
	Config     *rest.Config
	Client     kubernetes.Interface
	// Ended gets an error when a component ends although nobody stopped it.
	Ended <-chan error

	once  sync.Once
	stops []func()
}

// Start returns when the API server is ready and controllers and scheduler run.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	c := &Cluster{Kubeconfig: filepath.Join(o.Dir, "kubeconfig")}
	if err := c.start(ctx, o); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, o Options) error {
	listener, err := listen(o.Port)
	if err != nil {
		return err
	}
	c.Server = "https://" + listener.Addr().String()
	creds, err := loadCredentials(filepath.Join(o.Dir, "credentials"))
	if err != nil {
		return err
	}
	if err := writeKubeconfig(c.Kubeconfig, o.Name, c.Server, creds); err != nil {
		return err
	}
	store, err := startEtcd(ctx, filepath.Join(o.Dir, "etcd"))
	if err != nil {
		return err
	}
	c.onStop(store.stop)

	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	waiting := context.AfterFunc(ctx, stop) // until it serves, the caller's end is the server's end
	server, err := startAPIServer(serving, listener, apiServerFlags(store.url, creds))
	if !waiting() || err != nil {
		stop()
		return errors.Join(err, ctx.Err())
	}
	apiStopped := make(chan struct{})
	c.onStop(func() { stop(); <-apiStopped })
	c.Config, c.Client = server.loopback, server.client

	ended := make(chan error, 3)
	c.Ended = ended
	go c.watch(ended, "kube-apiserver", server.stopped, serving, apiStopped)
	return c.startLoops(ctx, creds, o.Dir, ended)
}

// startLoops starts what uses the API server like any other client.
func (c *Cluster) startLoops(ctx context.Context, creds *credentials, dir string, ended chan<- error) error {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	var all []chan struct{}
	c.onStop(func() {
		stop()
		for _, stopped := range all {
			<-stopped
		}
	})
	controllers, err := startControllers(running, controllerFlags(c.Kubeconfig, creds))
	if err != nil {
		return err
	}
	all = append(all, make(chan struct{}))
	go c.watch(ended, "kube-controller-manager", controllers, running, all[0])

	scheduler, err := startScheduler(running, filepath.Join(dir, "scheduler.yaml"), c.Kubeconfig)
	if err != nil {
		return err
	}
	all = append(all, make(chan struct{}))
	go c.watch(ended, "kube-scheduler", scheduler, running, all[1])
	return nil
}

// watch reports a component that ended although its context was still alive.
func (c *Cluster) watch(ended chan<- error, name string, stopped <-chan error, ctx context.Context, done chan<- struct{}) {
	err := <-stopped
	if ctx.Err() == nil {
		ended <- fmt.Errorf("%s ended by itself: %w", name, errors.Join(err, errors.New("the log has the reason")))
	}
	close(done)
}

func (c *Cluster) onStop(stop func()) { c.stops = append(c.stops, stop) }

// Stop ends what was started, last first, and returns when all has ended.
func (c *Cluster) Stop() {
	c.once.Do(func() {
		for i := len(c.stops) - 1; i >= 0; i-- {
			c.stops[i]()
		}
	})
}

// listen opens the port before anything else is started, so that nobody else can
// take it in the meantime.
func listen(port int) (net.Listener, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listening on port %d of 127.0.0.1: another process uses it; stop that one or choose another --port", port)
	}
	if err != nil {
		return nil, fmt.Errorf("listening on port %d of 127.0.0.1: %w", port, err)
	}
	return listener, nil
}
