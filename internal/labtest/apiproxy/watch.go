package apiproxy

import "context"

// stream is a watch that is open.
type stream struct {
	request Request
	cancel  context.CancelFunc
}

// open enters a watch into the list of those that can be cut.
func (p *Proxy) open(q Request, cancel context.CancelFunc) (closed func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.streams[q.N] = stream{request: q, cancel: cancel}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.streams, q.N)
	}
}

// CutWatches breaks all open watches and gives their number. New ones are let
// through.
func (p *Proxy) CutWatches() int { return p.cut(func(Request) bool { return true }) }

func (p *Proxy) cut(match func(Request) bool) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, s := range p.streams {
		if match(s.request) {
			s.cancel()
			n++
		}
	}
	return n
}

// HoldWatches lets no event of the matching watches through until it is called
// again; nil holds none. Events wait, they are not lost: the caches behind the
// watches lag.
func (p *Proxy) HoldWatches(match func(Request) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = match
	close(p.regate)
	p.regate = make(chan struct{})
}

// hold waits while the events of a watch are held.
func (p *Proxy) hold(ctx context.Context, q Request) {
	for {
		p.mu.Lock()
		held, changed := p.held, p.regate
		p.mu.Unlock()
		if held == nil || !held(q) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			drop()
		}
	}
}
