package cluster

import "time"

// What tests outside of the package look at.
const (
	RotatedAfter = rotatedAfter
	IdleAfter    = idleAfter
)

var (
	ErrNamespace = errNamespace
	Each         = each
)

func (c *Clusters) CloseUnused(now time.Time) { c.closeUnused(now) }

func (c *Clusters) Open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

func (c *Clusters) Has(id Identity) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open[digestOf(id.KubeConfig)] != nil
}
