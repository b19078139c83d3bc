package oci

import (
	"sync"
	"time"

	"github.com/sluice-dev/sluice/internal/artifact"
	"github.com/sluice-dev/sluice/internal/follow"
)

// Options of Registries. The zero value works.
type Options struct {
	UserAgent string
	// MinRetry and MaxRetry bound the back-off after failures: 750 ms and
	// 15 minutes unless told, as in Flux.
	MinRetry, MaxRetry time.Duration
	// Patient retries inside a call, obeying Retry-After: for commands, where
	// nobody comes back later. A controller comes back by itself.
	Patient bool
}

// Registries holds one Client per Access and one session per host and
// identity. It is safe for concurrent use.
type Registries struct {
	options Options

	mu       sync.Mutex
	clients  map[clientKey]*Client
	sessions map[sessionKey]*session
}

type clientKey struct {
	repo artifact.Repository
	id   identity
}

type sessionKey struct {
	host string
	id   identity
}

// A client that nobody asked for this long is forgotten with its tokens: its
// source is gone or uses another Secret now.
const forgetAfter = 2 * time.Hour

// NewRegistries makes an empty set.
func NewRegistries(options Options) *Registries {
	if options.UserAgent == "" {
		options.UserAgent = "sluice"
	}
	if options.MinRetry <= 0 {
		options.MinRetry = 750 * time.Millisecond
	}
	if options.MaxRetry <= 0 {
		options.MaxRetry = 15 * time.Minute
	}
	return &Registries{options: options, clients: map[clientKey]*Client{}, sessions: map[sessionKey]*session{}}
}

// Open gives the repository of an Access as a source's spec and Secrets state
// it.
func (r *Registries) Open(a follow.Access) (follow.Repository, error) {
	own := Access{Repository: a.Repository, TLS: TLS{CA: a.CA, Cert: a.Cert, Key: a.Key}, Insecure: a.Insecure}
	if len(a.DockerConfig) > 0 {
		login, err := SecretLogin(a.DockerConfig)
		if err != nil {
			return nil, err
		}
		own.Login = login
	}
	return r.Client(own)
}

// Client gives the client of an Access. It fails only if the TLS material of
// the Access makes no sense.
func (r *Registries) Client(a Access) (*Client, error) {
	id := a.identity()
	r.mu.Lock()
	defer r.mu.Unlock()
	key := clientKey{a.Repository, id}
	if c, found := r.clients[key]; found {
		return c, nil
	}
	r.forget(time.Now())
	at := sessionKey{a.Repository.Host, id}
	s, found := r.sessions[at]
	if !found {
		var err error
		if s, err = newSession(a, r.options); err != nil {
			return nil, err
		}
		r.sessions[at] = s
	}
	c := newClient(a.Repository, s, follow.Backoff{Min: r.options.MinRetry, Max: r.options.MaxRetry})
	c.touch()
	r.clients[key] = c
	return c, nil
}

// Hint tells every client of the repositories that match, whatever its
// identity, that something may have changed.
func (r *Registries) Hint(matches func(artifact.Repository) bool) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, c := range r.clients {
		if matches(key.repo) {
			c.Hint(now)
		}
	}
}

func (r *Registries) forget(now time.Time) {
	inUse := map[*session]bool{}
	for key, c := range r.clients {
		if now.Sub(time.Unix(0, c.used.Load())) > forgetAfter {
			delete(r.clients, key)
			continue
		}
		inUse[c.session] = true
	}
	for at, s := range r.sessions {
		if !inUse[s] {
			s.pool.CloseIdleConnections()
			delete(r.sessions, at)
		}
	}
}
