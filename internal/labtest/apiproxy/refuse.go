package apiproxy

import "net"

// Refuse shuts the server down, or lets it come back. Connections that are open
// break; new ones are reset before anything is said on them.
func (p *Proxy) Refuse(down bool) {
	p.mu.Lock()
	p.refused = down
	p.mu.Unlock()
	if down {
		p.server.CloseClientConnections()
	}
}

func (p *Proxy) isRefused() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused
}

// door is a listener that can be shut without giving its port away.
type door struct {
	net.Listener
	shut func() bool
}

func (d *door) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil || !d.shut() {
			return conn, err
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset, not a polite end; closing is all that is left if it fails
		}
		conn.Close()
	}
}
