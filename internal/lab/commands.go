package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

// takePorts keeps the ports of the lab before, so that kubeconfigs and URLs
// stay valid, and picks free ones where there are none or where somebody else
// has taken them.
func (s *supervisor) takePorts() error {
	ports := map[string]int{}
	names := []string{"registry"}
	for _, cluster := range s.Clusters {
		for _, use := range []string{"api", "storage", "metrics", "health", "hook"} {
			names = append(names, cluster+"/"+use)
		}
	}
	var held []net.Listener
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	for _, name := range names {
		l, err := net.Listen("tcp", loopback(s.state.Ports[name]))
		if err != nil {
			l, err = net.Listen("tcp", loopback(0))
		}
		if err != nil {
			return fmt.Errorf("finding a free port: %w", err)
		}
		held = append(held, l)
		ports[name] = l.Addr().(*net.TCPAddr).Port
	}
	s.state.Ports = ports
	return nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func (s *supervisor) port(name string) string { return loopback(s.state.Ports[name]) }

func (s *supervisor) registryCommand() command {
	args := []string{"registry", "--dir", s.Dir.path("registry"), "--addr", s.port("registry"), "--lifeline"}
	if s.Controllers {
		for _, cluster := range s.Clusters {
			args = append(args, "--notify", "http://"+s.port(cluster+"/hook")+"/hook")
		}
		args = append(args, "--notify-token", s.state.HookToken)
	}
	return command{name: "registry", path: s.Lab, args: args, speaks: true, ready: func(_ context.Context, line string) error {
		var at struct{ Addr string }
		if err := json.Unmarshal([]byte(line), &at); err != nil {
			return fmt.Errorf("it said %q instead of where it serves: %w", line, err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.lab.Registry = at.Addr
		return nil
	}}
}

func (s *supervisor) clusterCommand(i int, name string) command {
	args := []string{"cluster", "--name", name, "--dir", s.Dir.path("clusters", name), "--port", strconv.Itoa(s.state.Ports[name+"/api"]), "--lifeline"}
	return command{name: "cluster-" + name, path: s.Lab, args: args, speaks: true, ready: func(_ context.Context, line string) error {
		var at Cluster
		if err := json.Unmarshal([]byte(line), &at); err != nil {
			return fmt.Errorf("it said %q instead of where it serves: %w", line, err)
		}
		raw, err := os.ReadFile(at.Kubeconfig)
		if err != nil {
			return err
		}
		if err := s.Dir.writeFile(name+".kubeconfig", raw); err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.lab.Clusters[i] = Cluster{Name: name, Server: at.Server, Kubeconfig: s.Dir.path(name + ".kubeconfig")}
		return nil
	}}
}

func (s *supervisor) controllerCommand(i int, name string) command {
	args := []string{
		"controller", "--kubeconfig", s.lab.Clusters[i].Kubeconfig, "--lifeline",
		"--storage-path", s.Dir.path("controllers", name), "--storage-addr", s.port(name + "/storage"),
		"--metrics-addr", s.port(name + "/metrics"), "--health-addr", s.port(name + "/health"), "--hook-addr", s.port(name + "/hook"),
	}
	return command{
		name: "controller-" + name, path: s.Sluice, args: args, env: []string{"HOOK_TOKEN=" + s.state.HookToken},
		ready: func(ctx context.Context, _ string) error {
			return answers(ctx, "http://"+s.port(name+"/health")+"/readyz")
		},
	}
}

// answers waits until a URL answers 200.
func answers(ctx context.Context, url string) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok(ctx, url) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w", url, context.Cause(ctx))
		}
	}
}

func ok(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// accepts tells whether something listens on an address.
func accepts(ctx context.Context, address string) bool {
	conn, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
