package cluster

import (
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

func TestKubeConfigIsSelfContained(t *testing.T) {
	file := func(server, user string) string {
		return `
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}, {name: other, context: {cluster: other, user: other}}]
clusters: [{name: c, cluster: {server: "https://example.com", ` + server + `}}, {name: other, cluster: {server: "https://other", insecure-skip-tls-verify: true}}]
users: [{name: u, user: {` + user + `}}, {name: other, user: {tokenFile: /x}}]
`
	}
	exec := "exec: {apiVersion: client.authentication.k8s.io/v1, command: x, interactiveMode: Never}"
	tests := []struct {
		name, text string
		o          Options
		want       string // in the error; empty for none
	}{
		{"token", file("", "token: t"), Options{}, ""},
		{"certificates", file("certificate-authority-data: eA==", "client-certificate-data: eA==, client-key-data: eA=="), Options{}, ""},
		{"command", file("", exec), Options{}, "users.user.exec"},
		{"allowed command", file("", exec), Options{AllowExec: true}, ""},
		{"auth provider", file("", "auth-provider: {name: gcp}"), Options{AllowExec: true}, "auth-provider"},
		{"unverified server", file("insecure-skip-tls-verify: true", "token: t"), Options{}, "insecure-skip-tls-verify"},
		{"allowed unverified server", file("insecure-skip-tls-verify: true", "token: t"), Options{AllowInsecureTLS: true}, ""},
		{"CA file", file("certificate-authority: /etc/ca", "token: t"), Options{}, "certificate-authority names a file"},
		{"token file", file("", "tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token"), Options{}, "tokenFile names a file"},
		{"certificate file", file("", "client-certificate: /x"), Options{}, "client-certificate names a file"},
		{"key file", file("", "client-key: /x"), Options{}, "client-key names a file"},
		{"no context", "clusters: []", Options{}, "current-context"},
		{"no YAML", "token: {secretvalue", Options{}, "no valid kubeconfig"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			config, err := fromKubeConfig(Identity{KubeConfig: []byte(test.text), KubeConfigID: "Secret/ns/name"}, test.o)
			switch {
			case test.want == "" && (err != nil || config.Host != "https://example.com" || config.QPS >= 0):
				t.Errorf("%+v %v", config, err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "Secret/ns/name")):
				t.Errorf("error %v, want %q", err, test.want)
			case err != nil && strings.Contains(err.Error(), "secretvalue"):
				t.Errorf("the error quotes the file: %v", err)
			}
		})
	}
}

func TestUnreadableKubeConfigOpensNothing(t *testing.T) {
	clusters := NewClusters(Options{Base: &rest.Config{Host: "https://example.com"}})
	t.Cleanup(clusters.Close)
	if _, err := clusters.Target(t.Context(), Identity{KubeConfig: []byte{}, KubeConfigID: "Secret/ns/name"}); err == nil {
		t.Error("an empty kubeconfig is our own cluster")
	}
}
