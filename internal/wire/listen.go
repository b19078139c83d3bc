package wire

import (
	"errors"
	"fmt"
	"net"
	"os"
)

type listeners struct{ storage, hook net.Listener }

// listen takes the ports before anything else, so that a port in use is the
// first thing a user hears.
func listen(o Options) (listeners, error) {
	var l listeners
	var err error
	if l.storage, err = net.Listen("tcp", o.StorageAddr); err != nil {
		return l, fmt.Errorf("--storage-addr %s cannot be used: %w", o.StorageAddr, err)
	}
	if o.HookAddr != "" {
		if o.HookToken == "" {
			l.close()
			return l, errors.New("--hook-addr needs a token, by --hook-token-file or HOOK_TOKEN: anybody could send hints otherwise")
		}
		if l.hook, err = net.Listen("tcp", o.HookAddr); err != nil {
			l.close()
			return l, fmt.Errorf("--hook-addr %s cannot be used: %w", o.HookAddr, err)
		}
	}
	return l, nil
}

func (l listeners) close() {
	for _, x := range []net.Listener{l.storage, l.hook} {
		if x != nil {
			x.Close() // closed already after a clean run
		}
	}
}

func (l listeners) serving() Serving {
	s := Serving{Storage: l.storage.Addr().String()}
	if l.hook != nil {
		s.Hook = l.hook.Addr().String()
	}
	return s
}

// advertised is where consumers find the artifact server.
func advertised(o Options, l net.Listener) string {
	if o.StorageAdvAddr != "" {
		return o.StorageAdvAddr
	}
	host, port, err := net.SplitHostPort(l.Addr().String())
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		if name, err := os.Hostname(); err == nil {
			return net.JoinHostPort(name, port)
		}
	}
	return l.Addr().String()
}
