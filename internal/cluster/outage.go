package cluster

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sluice-dev/sluice/internal/plan"
)

// outage stands in front of a connection. Once the server does not answer, all
// requests fail at once until one probe of ours has got an answer: however many
// want to know, a dead target costs one probe per back-off.
type outage struct {
	c    *cluster
	conn http.RoundTripper

	mu       sync.Mutex
	down     *downtime // nil while the server answers
	checking bool
}

// downtime is the time between a failure and the next answer.
type downtime struct {
	why    string
	over   chan struct{}
	owners map[plan.Owner]struct{} // who was refused
}

const (
	firstProbe   = time.Second
	longestPause = 10 * time.Second
	probeTimeout = 5 * time.Second
)

func newOutage(c *cluster, conn http.RoundTripper) *outage {
	return &outage{c: c, conn: conn}
}

// errDown is the answer of a server that is known not to answer.
type errDown struct{ why string }

func (e *errDown) Error() string { return e.why }

// RoundTrip makes a request, or fails at once during an outage.
func (o *outage) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := o.refuse(r.Context()); err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err
	}
	response, err := o.conn.RoundTrip(r)
	if err != nil && !errors.Is(r.Context().Err(), context.Canceled) {
		o.failed(r.Context(), err)
	}
	return response, err
}

// CloseIdleConnections is called when nobody needs the cluster any more.
func (o *outage) CloseIdleConnections() {
	(&http.Client{Transport: o.conn}).CloseIdleConnections()
}

func (o *outage) refuse(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.down == nil {
		return nil
	}
	if owner, ok := ownerOf(ctx); ok {
		o.down.owners[owner] = struct{}{}
	}
	return &errDown{o.down.why}
}

// failed looks whether it is the server. What could not even be connected to
// does not answer; a request that took too long may be alone with that.
func (o *outage) failed(ctx context.Context, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var dial *net.OpError
	switch {
	case o.c.ctx.Err() != nil:
	case o.down != nil:
		o.remember(ctx)
	case errors.As(err, &dial) && dial.Op == "dial":
		o.begin(err)
		o.remember(ctx)
	case !o.checking:
		o.checking = o.c.spawn(func() { o.check(ctx) })
	}
}

func (o *outage) remember(ctx context.Context) {
	if owner, ok := ownerOf(ctx); ok {
		o.down.owners[owner] = struct{}{}
	}
}

func (o *outage) check(ctx context.Context) {
	err := o.probe()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.checking = false
	if err != nil && o.down == nil && o.c.ctx.Err() == nil {
		o.begin(err)
		o.remember(ctx)
	}
}

func (o *outage) begin(err error) {
	d := &downtime{why: why(err), over: make(chan struct{}), owners: map[plan.Owner]struct{}{}}
	o.down = d
	o.c.spawn(func() { o.await(d) })
}

// await probes until the server answers, then wakes all who were refused.
func (o *outage) await(d *downtime) {
	for pause := firstProbe; ; pause = min(2*pause, longestPause) {
		if !sleep(o.c.ctx, pause) {
			return
		}
		err := o.probe()
		o.mu.Lock()
		if err != nil {
			d.why = why(err)
			o.mu.Unlock()
			continue
		}
		o.down = nil
		o.mu.Unlock()
		close(d.over)
		for owner := range d.owners {
			o.c.changed(owner)
		}
		return
	}
}

// probe asks for the version: any answer at all is an answer.
func (o *outage) probe() error {
	ctx, cancel := context.WithTimeout(o.c.ctx, min(probeTimeout, o.c.o.RequestTimeout))
	defer cancel()
	base, err := baseURL(o.c.config)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("version").String(), nil)
	if err != nil {
		return err
	}
	response, err := o.conn.RoundTrip(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// answers waits for the end of an outage, or for a while if there is none.
func (o *outage) answers(ctx context.Context, pause time.Duration) bool {
	o.mu.Lock()
	d := o.down
	o.mu.Unlock()
	if d == nil {
		return sleep(ctx, pause)
	}
	select {
	case <-d.over:
		return true
	case <-ctx.Done():
		return false
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

type ownerKey struct{}

// withOwner says on whose behalf requests are made.
func withOwner(ctx context.Context, owner plan.Owner) context.Context {
	return context.WithValue(ctx, ownerKey{}, owner)
}

func ownerOf(ctx context.Context) (plan.Owner, bool) {
	owner, ok := ctx.Value(ownerKey{}).(plan.Owner)
	return owner, ok && owner.Name != ""
}
