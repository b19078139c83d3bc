package simulate

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"time"
)

// serveKubelet answers for all kubelets on one loopback port, which it returns:
// "kubectl logs" gets a sentence, everything else the reason why not.
func serveKubelet(ctx context.Context) (int32, error) {
	certificate, err := throwAwayCertificate()
	if err != nil {
		return 0, fmt.Errorf("making the certificate of the kubelets: %w", err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		return 0, fmt.Errorf("listening for the kubelets: %w", err)
	}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", answerLogs)
	routes.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "pods are simulated in the lab: there is no container to connect to", http.StatusNotImplemented)
	})
	server := &http.Server{Handler: routes, ErrorLog: log.New(io.Discard, "", 0),
		BaseContext: func(net.Listener) context.Context { return ctx }}
	context.AfterFunc(ctx, func() { server.Close() })
	go server.Serve(listener)
	return int32(listener.Addr().(*net.TCPAddr).Port), nil
}

func answerLogs(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "container %s of pod %s/%s is simulated: no container runs in the lab, so there are no logs\n",
		r.PathValue("container"), r.PathValue("namespace"), r.PathValue("pod"))
	if r.URL.Query().Get("follow") == "true" {
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

// throwAwayCertificate is enough, because an API server does not verify kubelets
// unless it is given their CA.
func throwAwayCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "simulated-kubelet"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
