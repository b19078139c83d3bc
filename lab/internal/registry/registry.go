// Package registry runs CNCF Distribution on a directory, over plain HTTP.
//
// In: a directory, an address, and the URLs that want to hear of pushed and
// deleted manifests. Out: a serving registry. It must never wait for those who
// listen, nor remember without bound what they did not hear.
package registry

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // where blobs are kept
	"github.com/sirupsen/logrus"
)

// Options say where to serve what, and who wants to know.
type Options struct {
	Dir         string
	Addr        string
	Notify      []string
	NotifyToken string
}

// Server is a running registry.
type Server struct {
	Addr string
	// Ended gets an error if serving ends although nobody stopped it.
	Ended <-chan error

	http  *http.Server
	app   *handlers.App
	tells []*notifier
}

// Start returns when the registry serves.
func Start(o Options) (*Server, error) {
	listener, err := net.Listen("tcp", o.Addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listening on %s: another process uses it; stop that one or choose another --addr", o.Addr)
	}
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", o.Addr, err)
	}
	secret, err := keptSecret(filepath.Join(o.Dir, "secret"))
	if err != nil {
		return nil, err
	}
	data := filepath.Join(o.Dir, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, fmt.Errorf("creating the storage: %w", err)
	}
	logrus.SetLevel(logrus.WarnLevel)
	s := &Server{Addr: listener.Addr().String(), app: handlers.NewApp(context.Background(), config(data, secret))}
	for _, url := range o.Notify {
		s.tells = append(s.tells, startNotifier(url, o.NotifyToken))
	}
	s.http = &http.Server{Handler: observe(s.app, s.Addr, s.tell)}
	ended := make(chan error, 1)
	s.Ended = ended
	go func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			ended <- err
		}
	}()
	return s, nil
}

// Stop lets running requests finish for a moment.
func (s *Server) Stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		s.http.Close()
	}
	for _, n := range s.tells {
		n.stop()
	}
	s.app.Shutdown()
}

func (s *Server) tell(event []byte) {
	for _, n := range s.tells {
		n.add(event)
	}
}

func config(data, secret string) *configuration.Configuration {
	c := &configuration.Configuration{
		Storage: configuration.Storage{
			"filesystem":  {"rootdirectory": data, "maxthreads": 100},
			"delete":      {"enabled": true},
			"maintenance": {"uploadpurging": map[any]any{"enabled": false}},
		},
	}
	c.HTTP.Secret = secret
	c.Catalog.MaxEntries = 1000
	c.Log.AccessLog.Disabled = true
	return c
}

// keptSecret signs the state of uploads; kept, so that an upload survives a restart.
func keptSecret(file string) (string, error) {
	if data, err := os.ReadFile(file); err == nil && len(data) == 64 {
		return string(data), nil
	}
	raw := make([]byte, 32)
	rand.Read(raw)
	secret := hex.EncodeToString(raw)
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		return "", fmt.Errorf("writing the registry's secret: %w", err)
	}
	return secret, nil
}
