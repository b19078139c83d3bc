package oci

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/sluice-dev/sluice/internal/artifact"
)

// Kind says what sort of no a registry gave.
type Kind string

// The kinds of failure.
const (
	Unreachable  Kind = "unreachable"  // no answer from the host
	TimedOut     Kind = "timed out"    // no answer in time
	Unauthorized Kind = "unauthorized" // 401: who are you
	Forbidden    Kind = "forbidden"    // 403: not you
	NotFound     Kind = "not found"    // 404
	RateLimited  Kind = "rate limited" // 429
	Broken       Kind = "broken"       // 5xx, or an answer that makes no sense
	Interrupted  Kind = "interrupted"  // the connection broke off
	Canceled     Kind = "canceled"     // we gave up, not the registry
)

// Failure is the error of every call to a registry. Its text is the same for
// the same cause: no port of our own, no request id.
type Failure struct {
	Kind       Kind
	Repository artifact.Repository
	Doing      string // "listing tags", "reading manifest of tag v1"
	// RetryAt is when the next try may be made; zero leaves it to the caller.
	RetryAt time.Time

	cause error
}

func (f *Failure) Error() string {
	return fmt.Sprintf("%s of %s: %s", f.Doing, f.Repository, f.detail())
}

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.cause }

// NextTry is RetryAt as a method, for callers that do not know this type.
func (f *Failure) NextTry() time.Time { return f.RetryAt }

func (f *Failure) detail() string {
	var resp *errcode.ErrorResponse
	if errors.As(f.cause, &resp) {
		text := fmt.Sprintf("the registry answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
		if said := said(resp.Errors); said != "" {
			text += " (" + said + ")"
		}
		return text
	}
	switch f.Kind {
	case TimedOut:
		return "no answer in time"
	case NotFound: // the library has no answer to show for it
		return "the registry answered 404 Not Found"
	case Unreachable, Interrupted:
		return reach(f.cause, f.Repository.Host)
	}
	return stable(f.cause.Error())
}

// said is what the registry said besides its status: messages, or codes where
// there are none. Details are for machines.
func said(errs errcode.Errors) string {
	var texts []string
	for _, e := range errs {
		text := e.Message
		if text == "" {
			text = strings.ToLower(strings.ReplaceAll(e.Code, "_", " "))
		}
		texts = append(texts, stable(text))
	}
	return strings.Join(texts, "; ")
}

// fail turns any error of a call into a Failure.
func fail(repo artifact.Repository, doing string, err error) error {
	if err == nil {
		return nil
	}
	var known *Failure
	if errors.As(err, &known) {
		return err
	}
	return &Failure{Kind: kindOf(err), Repository: repo, Doing: doing, cause: err}
}

func kindOf(err error) Kind {
	var resp *errcode.ErrorResponse
	if errors.As(err, &resp) {
		switch code := resp.StatusCode; {
		case code == http.StatusUnauthorized:
			return Unauthorized
		case code == http.StatusForbidden:
			return Forbidden
		case code == http.StatusNotFound:
			return NotFound
		case code == http.StatusTooManyRequests:
			return RateLimited
		default:
			return Broken
		}
	}
	var netErr net.Error
	switch {
	case errors.Is(err, errdef.ErrNotFound):
		return NotFound
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return Unauthorized
	case errors.Is(err, context.Canceled):
		return Canceled
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, errStalled), errors.As(err, &netErr) && netErr.Timeout():
		return TimedOut
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Interrupted
	case isNet(err):
		return Unreachable
	default:
		return Broken
	}
}

func isNet(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var alert tls.AlertError
	return errors.As(err, &op) || errors.As(err, &dns) || errors.As(err, &cert) || errors.As(err, &authority) || errors.As(err, &alert)
}

// reach says why a host could not be reached, without addresses of our own.
func reach(err error, host string) string {
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &dns):
		return fmt.Sprintf("the host %s is unknown (%s)", dns.Name, dns.Err)
	case errors.As(err, &cert):
		return fmt.Sprintf("the certificate of %s is not trusted: %v", host, cert.Err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("%s refused the connection: nothing listens there", host)
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Sprintf("%s broke the connection off", host)
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return fmt.Sprintf("%s cannot be reached: %v", host, op.Err)
	}
	return stable(err.Error())
}

// stable shortens a text of somebody else to one line and takes out what
// changes from try to try.
func stable(text string) string {
	if i := strings.Index(text, "://"); i >= 0 {
		// Signed URLs carry secrets and change with every request.
		var words []string
		for word := range strings.FieldsSeq(text) {
			if u, err := url.Parse(strings.Trim(word, `"',:`)); err == nil && u.Host != "" && u.RawQuery != "" {
				u.RawQuery = ""
				word = u.String()
			}
			words = append(words, word)
		}
		text = strings.Join(words, " ")
	}
	text, _, _ = strings.Cut(text, "\n")
	const most = 300
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
