package oci

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/sluice-dev/sluice/internal/artifact"
)

// Access is one repository together with the identity it is reached with.
// Two sources share what is known of a repository exactly if their Access is
// the same in every field.
type Access struct {
	Repository artifact.Repository
	// Login authenticates; nil is anonymous.
	Login Login
	// TLS is what the connection is made with.
	TLS TLS
	// Insecure allows plain HTTP and, without a CA of its own, certificates
	// that nobody vouches for.
	Insecure bool
}

// TLS holds PEM texts; all of them are optional.
type TLS struct {
	CA   []byte // added to the system's authorities
	Cert []byte // client certificate, with Key
	Key  []byte
}

// identity is a fingerprint of all that an Access is besides its repository.
type identity [sha256.Size]byte

func (a Access) identity() identity {
	h := sha256.New()
	part := func(b []byte) {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(b)))
		h.Write(size[:])
		h.Write(b)
	}
	if a.Login != nil {
		part([]byte(a.Login.Fingerprint()))
	} else {
		part(nil)
	}
	part(a.TLS.CA)
	part(a.TLS.Cert)
	part(a.TLS.Key)
	if a.Insecure {
		part([]byte("insecure"))
	}
	return identity(h.Sum(nil))
}

// Identity is a text that differs exactly if the identity differs and from
// which nothing can be learned about it.
func (a Access) Identity() string {
	id := a.identity()
	return fmt.Sprintf("%x", id[:8])
}

func (a Access) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(a.TLS.CA) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool() // no system authorities: the given one is enough
		}
		if !pool.AppendCertsFromPEM(a.TLS.CA) {
			return nil, errors.New("ca.crt holds no PEM certificate")
		}
		config.RootCAs = pool
	}
	if len(a.TLS.Cert) > 0 || len(a.TLS.Key) > 0 {
		pair, err := tls.X509KeyPair(a.TLS.Cert, a.TLS.Key)
		if err != nil {
			return nil, fmt.Errorf("tls.crt and tls.key do not make a client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	// Flux allows this for OCIRepository only (ocirepository_controller.go getTLSConfig).
	config.InsecureSkipVerify = a.Insecure && len(a.TLS.CA) == 0 && len(a.TLS.Cert) == 0
	return config, nil
}
