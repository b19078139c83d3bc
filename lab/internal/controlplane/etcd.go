package controlplane

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
)

const socketPrefix = "sluice-lab-"

// etcd is the store of one cluster. It listens on unix sockets only, so that two
// clusters never compete for a port.
type etcd struct {
	server  *embed.Etcd
	url     string
	sockets string
}

func startEtcd(ctx context.Context, dir string) (*etcd, error) {
	// The path of a socket is limited to about 107 bytes, a user's directory is
	// not: sockets live in a short directory of their own.
	sockets, err := socketDir(dir + "-sockets")
	if err != nil {
		return nil, fmt.Errorf("making a directory for etcd's sockets: %w", err)
	}
	e := &etcd{sockets: sockets, url: "unix://" + filepath.Join(sockets, "client")}
	if e.server, err = embed.StartEtcd(etcdConfig(dir, sockets)); err != nil {
		os.RemoveAll(sockets)
		return nil, fmt.Errorf("starting etcd on %s: %w", dir, err)
	}
	select {
	case <-e.server.Server.ReadyNotify():
		return e, nil
	case err := <-e.server.Err():
		e.stop()
		return nil, fmt.Errorf("starting etcd on %s: %w", dir, err)
	case <-ctx.Done():
		e.stop()
		return nil, fmt.Errorf("starting etcd on %s: %w", dir, ctx.Err())
	}
}

// socketDir makes a short directory and leaves a link to it, by which the next
// start removes what a killed process left behind.
func socketDir(link string) (string, error) {
	if left, err := os.Readlink(link); err == nil && strings.HasPrefix(filepath.Base(left), socketPrefix) {
		os.RemoveAll(left)
	}
	os.Remove(link)
	dir, err := os.MkdirTemp("", socketPrefix)
	if err != nil {
		return "", err
	}
	return dir, os.Symlink(dir, link)
}

// etcdConfig trades durability against power loss, which a lab does not need,
// for speed and a small disk footprint. kill -9 loses nothing.
func etcdConfig(dir, sockets string) *embed.Config {
	wal.SegmentSizeBytes = 8 << 20 // the default preallocates 2 x 64 MB

	cfg := embed.NewConfig()
	cfg.Dir = dir
	cfg.Name = "lab"
	client := url.URL{Scheme: "unix", Path: filepath.Join(sockets, "client")}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	// There are no peers: nobody listens at the address that etcd wants to know.
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = nil, []url.URL{{Scheme: "http", Host: "127.0.0.1:1"}}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)

	cfg.UnsafeNoFsync = true
	cfg.QuotaBackendBytes = 2 << 30 // a full store stops the cluster; a load test must not get there
	cfg.SnapshotCount = 5000
	cfg.MaxWalFiles, cfg.MaxSnapFiles = 1, 1
	cfg.BootstrapDefragThresholdMegabytes = 32
	// A single member need not wait long for its own election.
	cfg.TickMs, cfg.ElectionMs = 20, 100
	cfg.EnableGRPCGateway = false
	cfg.LogLevel, cfg.LogOutputs = "warn", []string{"stderr"}
	return cfg
}

func (e *etcd) stop() {
	e.server.Close()
	os.RemoveAll(e.sockets)
}
