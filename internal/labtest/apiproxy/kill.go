package apiproxy

import "net/http"

// Kill says how a client ends. The zero value ends it before a write.
type Kill struct {
	// Match selects the requests that are counted; nil selects writes. Events
	// and leases are writes, too.
	Match func(Request) bool
	// After lets the server do what the last request asks for; only the answer
	// is lost. A watch never gets that far.
	After bool
}

// doom is a client's end that was announced.
type doom struct {
	left int // matching requests until the end
	kill func()
	how  Kill

	dead bool
	last Request
}

// KillAt ends the client at the n-th matching request from now on: it calls
// kill, which has to stop the client (cancelling its context is enough), and
// from that moment nothing of it comes through and no answer gets back, until
// Revive. One client has to use one proxy: whoever else reads or writes,
// uses upstream's own configuration.
func (p *Proxy) KillAt(n int, kill func(), how Kill) {
	if how.Match == nil {
		how.Match = Request.Writes
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doom = &doom{left: n, kill: kill, how: how}
}

// Killed gives the request at which the client was ended. It is false as long
// as the client made fewer requests than KillAt wanted.
func (p *Proxy) Killed() (Request, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.doom == nil || !p.doom.dead {
		return Request{}, false
	}
	return p.doom.last, true
}

// Revive lets requests through again. The old client has to be gone: its last
// words would be taken for the new one's.
func (p *Proxy) Revive() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doom = nil
}

// strikes counts a request, and tells whether it is the last. The caller holds
// the lock, so that nothing passes after the last one.
func (d *doom) strikes(q Request) bool {
	if !d.how.Match(q) {
		return false
	}
	d.left--
	if d.left != 0 {
		return false
	}
	d.dead, d.last = true, q
	return true
}

// end is the end of a client.
func (p *Proxy) end(r *http.Request, q Request, d *doom) {
	if d.how.After && q.Verb != "watch" {
		p.deliver(r)
	}
	p.cut(func(Request) bool { return true })
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		d.kill()
	}()
	// A kill may wait until the client is gone, which may wait for this request.
	select {
	case <-killed:
	case <-r.Context().Done():
	case <-p.ended:
	}
	drop()
}

// isDead tells whether the client that a request came from has ended since.
func (p *Proxy) isDead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.doom != nil && p.doom.dead
}
