package cluster

import (
	"errors"
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/sluice-dev/sluice/internal/plan"
)

// Identity is a cluster and who speaks to it.
type Identity struct {
	// KubeConfig is the content of a kubeconfig; nil is the process's own cluster.
	KubeConfig []byte
	// KubeConfigID names where it came from, for messages: "Secret/ns/name".
	KubeConfigID string
	// ServiceAccount is the user that is impersonated, in the form
	// "system:serviceaccount:namespace:name"; empty for nobody.
	ServiceAccount string
	// Owner is the Kustomization that asks: it is told what changes.
	Owner plan.Owner
}

// cluster names the cluster for messages.
func (id Identity) cluster() string {
	switch {
	case id.KubeConfigID != "":
		return "the cluster of " + id.KubeConfigID
	case id.KubeConfig != nil:
		return "the cluster of the kubeconfig"
	default:
		return "the cluster"
	}
}

// fromKubeConfig reads a kubeconfig that was taken from an API object: it has to
// be self-contained, because files and commands would be the controller's.
// Flux drops such fields silently and fails to authenticate
// (fluxcd/pkg/runtime/client/kubeconfig.go).
func fromKubeConfig(id Identity, o Options) (*rest.Config, error) {
	fail := func(err error) error {
		name := id.KubeConfigID
		if name == "" {
			name = "the identity"
		}
		return fmt.Errorf("reading the kubeconfig of %s: %w", name, err)
	}
	raw, err := clientcmd.Load(id.KubeConfig)
	if err != nil {
		// The parser's words may quote what it read.
		return nil, fail(errors.New("it is no valid kubeconfig"))
	}
	if err := selfContained(raw, o); err != nil {
		return nil, fail(err)
	}
	config, err := clientcmd.NewNonInteractiveClientConfig(*raw, "", &clientcmd.ConfigOverrides{}, nil).ClientConfig()
	if err != nil {
		return nil, fail(err)
	}
	config.UserAgent = o.UserAgent
	config.QPS = -1
	return config, nil
}

func selfContained(raw *clientcmdapi.Config, o Options) error {
	current := raw.Contexts[raw.CurrentContext]
	if current == nil {
		return errors.New("its current-context names no context of it")
	}
	server := raw.Clusters[current.Cluster]
	if server == nil || server.Server == "" {
		return errors.New("its current-context names no cluster with a server")
	}
	user := raw.AuthInfos[current.AuthInfo]
	if user == nil {
		user = clientcmdapi.NewAuthInfo()
	}
	switch {
	case user.Exec != nil && !o.AllowExec:
		return errors.New("users.user.exec would run a command of the controller's; use a token or a certificate, or set --insecure-kubeconfig-exec")
	case user.AuthProvider != nil:
		return errors.New("users.user.auth-provider is not supported; use a token or a certificate")
	case server.InsecureSkipTLSVerify && !o.AllowInsecureTLS:
		return errors.New("clusters.cluster.insecure-skip-tls-verify leaves the server unverified; give certificate-authority-data, or set --insecure-kubeconfig-tls")
	}
	for _, file := range []struct{ field, path, instead string }{
		{"clusters.cluster.certificate-authority", server.CertificateAuthority, "certificate-authority-data"},
		{"users.user.client-certificate", user.ClientCertificate, "client-certificate-data"},
		{"users.user.client-key", user.ClientKey, "client-key-data"},
		{"users.user.tokenFile", user.TokenFile, "token"},
	} {
		if file.path != "" {
			return fmt.Errorf("%s names a file, which would be the controller's; use %s", file.field, file.instead)
		}
	}
	return nil
}
