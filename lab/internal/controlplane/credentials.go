package controlplane

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// credentials are the files by which a cluster and its users know each other.
// The CA, the token and the key that signs service account tokens are made once
// and kept, so that an old kubeconfig stays valid; the serving certificate is
// made at each start, so that it never expires.
type credentials struct {
	caFile, certFile, keyFile     string
	serviceAccountKey, tokensFile string
	token                         string
	caPEM                         []byte
}

const tenYears = 10 * 365 * 24 * time.Hour

func loadCredentials(dir string) (*credentials, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating the directory of credentials: %w", err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	c := &credentials{caFile: at("ca.crt"), certFile: at("apiserver.crt"), keyFile: at("apiserver.key"),
		serviceAccountKey: at("service-account.key"), tokensFile: at("tokens.csv")}

	caKey, err := keptKey(at("ca.key"))
	if err != nil {
		return nil, err
	}
	ca, err := keptCA(c.caFile, caKey)
	if err != nil {
		return nil, err
	}
	c.caPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw})
	if err := writeServing(c, ca, caKey); err != nil {
		return nil, err
	}
	if _, err := keptKey(c.serviceAccountKey); err != nil {
		return nil, err
	}
	if c.token, err = keptToken(at("token")); err != nil {
		return nil, err
	}
	line := c.token + `,admin,admin,"system:masters"` + "\n"
	if err := os.WriteFile(c.tokensFile, []byte(line), 0o600); err != nil {
		return nil, fmt.Errorf("writing the list of tokens: %w", err)
	}
	return c, nil
}

func keptKey(file string) (crypto.Signer, error) {
	der, err := keptPEM(file, "EC PRIVATE KEY", func() ([]byte, error) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		return x509.MarshalECPrivateKey(key)
	})
	if err != nil {
		return nil, err
	}
	key, err := x509.ParseECPrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("reading the key %s: %w", file, err)
	}
	return key, nil
}

func keptCA(file string, key crypto.Signer) (*x509.Certificate, error) {
	der, err := keptPEM(file, "CERTIFICATE", func() ([]byte, error) {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sluice-lab-ca"},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(tenYears),
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, IsCA: true, BasicConstraintsValid: true,
		}
		return x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	})
	if err != nil {
		return nil, err
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the CA certificate %s: %w", file, err)
	}
	return ca, nil
}

func writeServing(c *credentials, ca *x509.Certificate, caKey crypto.Signer) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("generating the serving key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "sluice-lab"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: ca.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback, net.IPv4(10, 96, 0, 1)},
		DNSNames:    []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), caKey)
	if err != nil {
		return fmt.Errorf("signing the serving certificate: %w", err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("encoding the serving key: %w", err)
	}
	if err := writePEM(c.certFile, "CERTIFICATE", cert); err != nil {
		return err
	}
	return writePEM(c.keyFile, "EC PRIVATE KEY", der)
}

func keptToken(file string) (string, error) {
	if data, err := os.ReadFile(file); err == nil && len(data) == 64 {
		return string(data), nil
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	token := hex.EncodeToString(secret)
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		return "", fmt.Errorf("writing the token: %w", err)
	}
	return token, nil
}

// keptPEM reads what an earlier start wrote, or makes and writes it.
func keptPEM(file, kind string, generate func() ([]byte, error)) ([]byte, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		der, err := generate()
		if err != nil {
			return nil, fmt.Errorf("generating %s: %w", file, err)
		}
		return der, writePEM(file, kind, der)
	}
	if err != nil {
		return nil, fmt.Errorf("reading credentials: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("reading credentials: %s is not PEM; remove the directory of the cluster to begin anew", file)
	}
	return block.Bytes, nil
}

func writePEM(file, kind string, der []byte) error {
	data := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return fmt.Errorf("writing credentials: %w", err)
	}
	return nil
}
