package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"github.com/sluice-dev/sluice/internal/plan"
)

// Options are what all clusters have in common. Base is required.
type Options struct {
	// Base connects to the cluster that the process belongs to. Its rate limit
	// holds for that cluster only; others are not throttled by the client.
	Base      *rest.Config
	UserAgent string
	// OverrideManagers are field managers whose fields are taken over.
	OverrideManagers []string
	// Changed is told that something became of an object of a Kustomization, or
	// that a target which did not answer does so again. Target is the
	// KubeConfigID of an Identity, empty for the process's own cluster. Called
	// from watches: it must not block.
	Changed func(target string, owner plan.Owner)
	// RequestTimeout bounds each request but watches; 30 s if zero.
	RequestTimeout time.Duration
	// ConcurrentSSA bounds the requests that one Observe makes at a time; 10 if
	// zero.
	ConcurrentSSA int
	// AllowExec and AllowInsecureTLS let kubeconfigs run commands and leave
	// servers unverified.
	AllowExec, AllowInsecureTLS bool
	// NoWatches asks the server each time: for commands that run once.
	NoWatches bool
}

const (
	defaultTimeout     = 30 * time.Second
	defaultConcurrency = 10
	// idleAfter closes a cluster that nobody asked for: longer than any sane
	// interval, because its watches are what notices drift.
	idleAfter = 25 * time.Hour
	// rotatedAfter closes a cluster whose kubeconfigs have all been replaced,
	// once what was running has ended.
	rotatedAfter = 10 * time.Minute
	sweepEvery   = time.Minute
)

// Clusters are the clusters that the process delivers to. One is opened when it
// is first asked for.
type Clusters struct {
	o      Options
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	closed bool
	open   map[string]*cluster // by the digest of the kubeconfig
}

// NewClusters makes a set of clusters. Close ends it.
func NewClusters(o Options) *Clusters {
	if o.RequestTimeout <= 0 {
		o.RequestTimeout = defaultTimeout
	}
	if o.ConcurrentSSA <= 0 {
		o.ConcurrentSSA = defaultConcurrency
	}
	if o.Changed == nil {
		o.Changed = func(string, plan.Owner) {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &Clusters{o: o, cancel: cancel, open: map[string]*cluster{}}
	c.wg.Go(func() { c.sweep(ctx) })
	return c
}

var errClosed = errors.New("opening a cluster: the process is stopping")

// Target gives a cluster as an identity sees it. It makes no request: a cluster
// that does not answer is noticed when something is asked of it. An error says
// what is wrong with the kubeconfig.
func (c *Clusters) Target(_ context.Context, id Identity) (*Target, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errClosed
	}
	key := digestOf(id.KubeConfig)
	target := c.open[key]
	if target == nil {
		config, err := c.config(id)
		if err != nil {
			return nil, err
		}
		if target, err = openCluster(c.o, config); err != nil {
			return nil, fmt.Errorf("connecting to %s: %w", id.cluster(), err)
		}
		c.open[key] = target
	}
	for other, cl := range c.open {
		if other != key {
			cl.renounce(id.KubeConfigID)
		}
	}
	target.use(id.KubeConfigID, time.Now())
	return target.target(id)
}

func (c *Clusters) config(id Identity) (*rest.Config, error) {
	if id.KubeConfig == nil {
		config := rest.CopyConfig(c.o.Base)
		config.UserAgent = c.o.UserAgent
		return config, nil
	}
	return fromKubeConfig(id, c.o)
}

// Close ends all watches and waits for them.
func (c *Clusters) Close() {
	c.cancel()
	c.mu.Lock()
	c.closed = true
	open := c.open
	c.open = nil
	c.mu.Unlock()
	for _, cl := range open {
		cl.close()
	}
	c.wg.Wait()
}

func (c *Clusters) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			c.closeUnused(now)
		}
	}
}

func (c *Clusters) closeUnused(now time.Time) {
	var unused []*cluster
	c.mu.Lock()
	for key, cl := range c.open {
		if cl.unused(now) {
			unused = append(unused, cl)
			delete(c.open, key)
		} else {
			cl.sweep(now)
		}
	}
	c.mu.Unlock()
	for _, cl := range unused {
		cl.close()
	}
}

func digestOf(kubeConfig []byte) string {
	if kubeConfig == nil {
		return ""
	}
	sum := sha256.Sum256(kubeConfig)
	return hex.EncodeToString(sum[:])
}
