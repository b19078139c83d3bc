package apiproxy

import (
	"context"
	"fmt"
	"slices"
)

// Requests lists what arrived, in the order of arrival. A request that a dead
// client sent, or that came while the server refused connections, never arrived.
func (p *Proxy) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.log)
}

// Count is the number of requests that match.
func (p *Proxy) Count(match func(Request) bool) int {
	n := 0
	for _, q := range p.Requests() {
		if match(q) {
			n++
		}
	}
	return n
}

// Reset forgets the requests so far. Their numbers are not used again; faults,
// kills, open watches and remembered answers stay.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = nil
}

// Await waits for a request that matches; one that arrived before will do. An
// answer is awaited by matching its Status.
func (p *Proxy) Await(ctx context.Context, match func(Request) bool) (Request, error) {
	for {
		p.mu.Lock()
		news := p.news
		i := slices.IndexFunc(p.log, match)
		var found Request
		if i >= 0 {
			found = p.log[i]
		}
		seen := len(p.log)
		p.mu.Unlock()
		if i >= 0 {
			return found, nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return Request{}, fmt.Errorf("awaiting a request, none of %d matches: %w", seen, ctx.Err())
		}
	}
}

// announce wakes those who wait. The caller holds the lock.
func (p *Proxy) announce() {
	close(p.news)
	p.news = make(chan struct{})
}

// answered completes what is known of a request; Reset may have forgotten it.
func (p *Proxy) answered(q Request, status int, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.log) - 1; i >= 0; i-- {
		if e := &p.log[i]; e.N == q.N {
			e.Status = status
			e.Answered += bytes
			p.announce()
			return
		}
	}
}
