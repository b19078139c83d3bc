package oci

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/sluice-dev/sluice/internal/artifact"
)

// Login finds the credential for a repository.
type Login interface {
	// Credential returns the empty credential where none is known.
	Credential(ctx context.Context, repo artifact.Repository) (auth.Credential, error)
	// Fingerprint differs for different logins and tells nothing about them.
	Fingerprint() string
}

// UserPassword is one credential for whatever is asked: the --creds flag.
func UserPassword(text string) (Login, error) {
	user, password, found := strings.Cut(text, ":")
	if !found || user == "" || password == "" {
		return nil, errors.New("credentials must be written USER:PASSWORD")
	}
	return fixed{auth.Credential{Username: user, Password: password}}, nil
}

type fixed struct{ cred auth.Credential }

func (f fixed) Credential(context.Context, artifact.Repository) (auth.Credential, error) {
	return f.cred, nil
}

func (f fixed) Fingerprint() string {
	return fingerprint("fixed", f.cred.Username, f.cred.Password)
}

// DockerLogin uses the docker configuration of the user who runs the process,
// with its credential helpers.
func DockerLogin() (Login, error) {
	store, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading the docker configuration: %w", err)
	}
	return docker{store}, nil
}

type docker struct{ store credentials.Store }

func (d docker) Credential(ctx context.Context, repo artifact.Repository) (auth.Credential, error) {
	cred, err := d.store.Get(ctx, credentials.ServerAddressFromHostname(apiHost(repo.Host)))
	if err != nil {
		return auth.EmptyCredential, &LoginError{Host: repo.Host, cause: err}
	}
	return cred, nil
}

// LoginError says that the docker configuration, or its helper, could not say
// what the credentials for a host are.
type LoginError struct {
	Host  string
	cause error
}

func (e *LoginError) Error() string {
	return fmt.Sprintf("asking the docker configuration for %s: %v", e.Host, e.cause)
}

// Unwrap gives the cause.
func (e *LoginError) Unwrap() error { return e.cause }

func (d docker) Fingerprint() string { return "docker" }

// SecretLogin reads Secret data of the type kubernetes.io/dockerconfigjson.
// Among entries that match a repository the longest one holds, as with image
// pull secrets (k8s.io/kubernetes pkg/credentialprovider/keyring.go): keys may
// carry a path, and '*' in the host stands for a part between dots.
func SecretLogin(dockerConfigJSON []byte) (Login, error) {
	var config struct {
		Auths map[string]struct {
			Username, Password, Auth, IdentityToken, RegistryToken string
		}
	}
	if err := json.Unmarshal(dockerConfigJSON, &config); err != nil {
		// The text is a secret: the error of the decoder may quote it.
		return nil, errors.New(".dockerconfigjson is no JSON object with auths")
	}
	login := secret{print: fingerprint("secret", string(dockerConfigJSON))}
	for key, entry := range config.Auths {
		cred := auth.Credential{
			Username: entry.Username, Password: entry.Password,
			RefreshToken: entry.IdentityToken, AccessToken: entry.RegistryToken,
		}
		if cred == auth.EmptyCredential && entry.Auth != "" {
			text, err := base64.StdEncoding.DecodeString(entry.Auth)
			user, password, found := strings.Cut(strings.TrimRight(string(text), "\x00"), ":")
			if err != nil || !found {
				return nil, fmt.Errorf("the auth of %q in .dockerconfigjson is no base64 of user:password", key)
			}
			cred.Username, cred.Password = user, password
		}
		login.entries = append(login.entries, newEntry(key, cred))
	}
	slices.SortFunc(login.entries, func(a, b entry) int {
		if d := len(b.host) + len(b.path) - len(a.host) - len(a.path); d != 0 {
			return d
		}
		return strings.Compare(a.host+a.path, b.host+b.path)
	})
	return login, nil
}

type secret struct {
	entries []entry // most specific first
	print   string
}

type entry struct {
	host, path string
	cred       auth.Credential
}

func newEntry(key string, cred auth.Credential) entry {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	host, rest, _ := strings.Cut(key, "/")
	rest = strings.Trim(rest, "/")
	if rest == "v1" || rest == "v2" { // the API's own path: the whole host
		rest = ""
	}
	return entry{host: apiHost(host), path: rest, cred: cred}
}

func (s secret) Credential(_ context.Context, repo artifact.Repository) (auth.Credential, error) {
	for _, e := range s.entries {
		if e.matches(repo) {
			return e.cred, nil
		}
	}
	return auth.EmptyCredential, nil
}

func (s secret) Fingerprint() string { return s.print }

func (e entry) matches(repo artifact.Repository) bool {
	want, have := strings.Split(e.host, "."), strings.Split(apiHost(repo.Host), ".")
	if len(want) != len(have) {
		return false
	}
	for i := range want {
		if ok, err := path.Match(want[i], have[i]); err != nil || !ok {
			return false
		}
	}
	return e.path == "" || repo.Path == e.path || strings.HasPrefix(repo.Path, e.path+"/")
}

// apiHost is where the API of a registry is served; only Docker Hub differs.
func apiHost(host string) string {
	switch host {
	case "docker.io", "index.docker.io":
		return "registry-1.docker.io"
	}
	return host
}

func fingerprint(parts ...string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(parts, "\x00"))))
}
