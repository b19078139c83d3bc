package simulate

import (
	"net/netip"
	"sync"
)

// addresses gives each owner an IP address that no other owner has.
type addresses struct {
	mu     sync.Mutex
	prefix netip.Prefix
	next   netip.Addr
	owners map[netip.Addr]string
	given  map[string]netip.Addr
}

func newAddresses(prefix string) *addresses {
	p := netip.MustParsePrefix(prefix)
	return &addresses{prefix: p, next: p.Addr().Next(), owners: map[netip.Addr]string{}, given: map[string]netip.Addr{}}
}

// of returns the owner's address: the one it has been given, else the one that
// it says it had before a restart if nobody else has it, else a new one.
func (a *addresses) of(owner, before string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if ip, ok := a.given[owner]; ok {
		return ip.String()
	}
	if ip, err := netip.ParseAddr(before); err == nil && a.prefix.Contains(ip) && a.owners[ip] == "" {
		return a.give(owner, ip)
	}
	for tried := 0; tried < 1<<(32-a.prefix.Bits()); tried++ {
		ip := a.next
		if a.next = ip.Next(); !a.prefix.Contains(a.next.Next()) { // the last one is for broadcast
			a.next = a.prefix.Addr().Next()
		}
		if a.owners[ip] == "" {
			return a.give(owner, ip)
		}
	}
	return a.prefix.Addr().String() // 65,000 objects: nobody will look
}

func (a *addresses) give(owner string, ip netip.Addr) string {
	a.owners[ip], a.given[owner] = owner, ip
	return ip.String()
}

func (a *addresses) release(owner string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if ip, ok := a.given[owner]; ok {
		delete(a.owners, ip)
		delete(a.given, owner)
	}
}
