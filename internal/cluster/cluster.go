package cluster

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/sluice-dev/sluice/internal/plan"
)

// cluster is one API server, shared by all identities that reach it with one
// kubeconfig.
type cluster struct {
	o      Options
	config *rest.Config
	conn   http.RoundTripper // past the outage, as nobody in particular
	outage *outage
	served *served
	kinds  *arrivals
	access *access

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex
	sessions map[string]*session // by ServiceAccount
	names    map[string]struct{} // KubeConfigIDs
	used     time.Time
	watches  map[watchKey]*kindWatch
	lookouts map[lookoutKey]*lookout
}

func openCluster(o Options, config *rest.Config) (*cluster, error) {
	as := config.Impersonate
	config.Impersonate = rest.ImpersonationConfig{}
	config.Timeout = 0 // it would end watches; requests have deadlines of their own
	config.WarningHandler = rest.NoWarnings{}
	if config.RateLimiter == nil && config.QPS >= 0 {
		// One limit for all identities, as there is one for all requests of a client.
		config.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(rateOf(config))
	}
	conn, err := rest.TransportFor(config)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &cluster{
		o: o, config: config, ctx: ctx, cancel: cancel,
		sessions: map[string]*session{}, names: map[string]struct{}{},
		watches: map[watchKey]*kindWatch{}, lookouts: map[lookoutKey]*lookout{},
	}
	c.outage = newOutage(c, conn)
	c.conn = c.outage
	if as.UserName != "" {
		c.conn = impersonate(as.UserName, as, c.conn)
	}
	dc, err := discovery.NewDiscoveryClientForConfigAndClient(config, &http.Client{Transport: c.conn})
	if err != nil {
		cancel()
		return nil, err
	}
	c.served = newServed(dc, o.RequestTimeout)
	c.access = newAccess()
	c.kinds = newArrivals(c)
	return c, nil
}

func rateOf(config *rest.Config) (float32, int) {
	qps, burst := config.QPS, config.Burst
	if qps == 0 {
		qps = rest.DefaultQPS
	}
	if burst == 0 {
		burst = rest.DefaultBurst
	}
	return qps, burst
}

func impersonate(user string, rest rest.ImpersonationConfig, conn http.RoundTripper) http.RoundTripper {
	return transport.NewImpersonatingRoundTripper(transport.ImpersonationConfig{
		UserName: user, UID: rest.UID, Groups: rest.Groups, Extra: rest.Extra,
	}, conn)
}

// session gives the requests of an identity; they are made over the one
// connection of the cluster.
func (c *cluster) session(serviceAccount string) (*session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.sessions[serviceAccount]; s != nil {
		return s, nil
	}
	conn := c.conn
	if serviceAccount != "" {
		conn = impersonate(serviceAccount, rest.ImpersonationConfig{}, c.outage)
	}
	client, err := dynamic.NewForConfigAndClient(c.config, &http.Client{Transport: conn})
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	s := &session{client: client, timeout: c.o.RequestTimeout, as: serviceAccount}
	c.sessions[serviceAccount] = s
	return s, nil
}

// changed tells every name that the cluster is known by.
func (c *cluster) changed(owner plan.Owner) {
	if owner.Name == "" {
		return
	}
	c.mu.Lock()
	names := make([]string, 0, len(c.names))
	for name := range c.names {
		names = append(names, name)
	}
	c.mu.Unlock()
	for _, name := range names {
		c.o.Changed(name, owner)
	}
}

func (c *cluster) use(name string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names[name] = struct{}{}
	c.used = now
}

// renounce says that a kubeconfig leads elsewhere now.
func (c *cluster) renounce(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.names, name)
}

func (c *cluster) unused(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.names) == 0 {
		return now.Sub(c.used) > rotatedAfter
	}
	return now.Sub(c.used) > idleAfter
}

// spawn runs something beside, unless the cluster is being closed.
func (c *cluster) spawn(do func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return false
	}
	c.wg.Go(do)
	return true
}

func (c *cluster) close() {
	c.mu.Lock()
	c.cancel()
	c.mu.Unlock()
	c.wg.Wait()
	c.outage.CloseIdleConnections()
}
