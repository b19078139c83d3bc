package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"

	"k8s.io/client-go/rest"
)

// Unreachable is the error of a cluster that does not answer: try again later,
// nothing was learned of any object. Options.Changed is called when it answers.
type Unreachable struct {
	Cluster string // "the cluster of Secret/ns/name"
	Why     string // the same for the same cause: no ports, no addresses
}

func (u *Unreachable) Error() string { return u.Cluster + " does not answer: " + u.Why }

// plain gives an error as it may stand in a status. What is not about the
// connection stays as it is.
func plain(cluster string, err error) error {
	var known *Unreachable
	var request *url.Error
	var down *errDown
	var network net.Error
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.As(err, &known):
		return err
	case errors.As(err, &request), errors.As(err, &down), errors.As(err, &network), errors.Is(err, context.DeadlineExceeded):
		return &Unreachable{Cluster: cluster, Why: why(err)}
	default:
		return err
	}
}

// why says in few words what went wrong on the way.
func why(err error) string {
	var known *Unreachable
	var down *errDown
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var network net.Error
	switch {
	case errors.As(err, &known):
		return known.Why
	case errors.As(err, &down):
		return down.why
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route to host"
	case errors.As(err, &dns):
		return "no such host: " + dns.Name
	case errors.As(err, &certificate):
		return certificate.Err.Error()
	case errors.As(err, &authority):
		return authority.Error()
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "no answer in time"
	}
	text := innermost(err).Error()
	if strings.HasPrefix(text, "stream error:") || strings.HasPrefix(text, "http2:") {
		return "connection closed" // HTTP/2 numbers its streams
	}
	return text
}

// innermost is the cause without the addresses that wrappers add.
func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

func baseURL(config *rest.Config) (*url.URL, error) {
	base, _, err := rest.DefaultServerUrlFor(config)
	return base, err
}
