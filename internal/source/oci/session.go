package oci

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/retry"

	"github.com/sluice-dev/sluice/internal/artifact"
)

// session is what one identity shares on one host: connections, tokens, the
// scheme found out, and the host's wish to be left alone for a while.
type session struct {
	host  string
	http  *http.Client
	pool  *http.Transport
	cache auth.Cache // one token per scope
	login Login
	agent string

	mayBePlain bool // plain HTTP is allowed
	mu         sync.Mutex
	plain      bool
	known      bool // plain has been found out
	pause      time.Time
}

// Connections are bounded in every phase; requests are bounded by contexts.
const (
	dialTimeout  = 10 * time.Second
	probeTimeout = 3 * time.Second
)

func newSession(a Access, options Options) (*session, error) {
	config, err := a.tlsConfig()
	if err != nil {
		return nil, err
	}
	s := &session{
		host: a.Repository.Host, cache: auth.NewCache(), login: a.Login, agent: options.UserAgent,
		mayBePlain: a.Insecure || a.Repository.IsLocal(),
	}
	s.pool = &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       config,
		TLSHandshakeTimeout:   dialTimeout,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   4,
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
	if options.Patient {
		s.http = &http.Client{Transport: retry.NewTransport(s.pool)}
	} else {
		s.http = &http.Client{Transport: &pacer{session: s, next: s.pool}}
	}
	return s, nil
}

// client authenticates requests for one repository of the host.
func (s *session) client(repo artifact.Repository) *auth.Client {
	return &auth.Client{
		Client: s.http,
		Cache:  s.cache,
		Header: http.Header{"User-Agent": {s.agent}},
		Credential: func(ctx context.Context, _ string) (auth.Credential, error) {
			if s.login == nil {
				return auth.EmptyCredential, nil
			}
			return s.login.Credential(ctx, repo)
		},
		ClientID: "sluice",
	}
}

// isPlain finds out once whether a host that may speak plain HTTP does. HTTPS
// is tried first, as Flux does (go-containerregistry transport/ping.go); only
// an answer that is not TLS, or silence, leads to plain HTTP.
func (s *session) isPlain(ctx context.Context) (bool, error) {
	if !s.mayBePlain {
		return false, nil
	}
	s.mu.Lock()
	plain, known := s.plain, s.known
	s.mu.Unlock()
	if known {
		return plain, nil
	}
	err := s.probe(ctx, "https")
	if plain = speaksNoTLS(err); plain {
		err = s.probe(ctx, "http")
	}
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	s.plain, s.known = plain, true
	s.mu.Unlock()
	return plain, nil
}

// doubtScheme finds out anew after a failure: a registry may have been given
// TLS, or lost it.
func (s *session) doubtScheme() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = false
}

func (s *session) probe(ctx context.Context, scheme string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s://%s/v2/", scheme, apiHost(s.host)), nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", s.agent)
	resp, err := s.http.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func speaksNoTLS(err error) bool {
	var record tls.RecordHeaderError
	return errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &record) || errors.Is(err, context.DeadlineExceeded)
}

// pauseUntil is the moment before which the host asked not to be called.
func (s *session) pauseUntil() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pause
}

// pacer obeys Retry-After: while a host asks to be left alone, calls fail here.
type pacer struct {
	session *session
	next    http.RoundTripper
}

// errPaused is answered in place of the host during its pause.
var errPaused = errors.New("the registry asked to be left alone for a while (429 with Retry-After)")

func (p *pacer) RoundTrip(req *http.Request) (*http.Response, error) {
	if time.Now().Before(p.session.pauseUntil()) {
		return nil, errPaused
	}
	resp, err := p.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable {
		if wait := retryAfter(resp.Header.Get("Retry-After"), time.Now()); wait > 0 {
			p.session.mu.Lock()
			p.session.pause = time.Now().Add(wait)
			p.session.mu.Unlock()
		}
	}
	return resp, nil
}

// maxPause bounds what a Retry-After can cost: a mistyped header must not stop
// a source for a day.
const maxPause = 15 * time.Minute

// retryAfter reads the header's two forms, seconds and a date (RFC 9110, 10.2.3).
func retryAfter(value string, now time.Time) time.Duration {
	var wait time.Duration
	if seconds, err := strconv.Atoi(value); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if date, err := http.ParseTime(value); err == nil {
		wait = date.Sub(now)
	}
	return max(0, min(wait, maxPause))
}
