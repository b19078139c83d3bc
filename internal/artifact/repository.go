package artifact

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Scheme is the URL scheme under which Flux objects name OCI repositories.
const Scheme = "oci://"

// dockerHub is the registry that a name without a host belongs to.
const dockerHub = "docker.io"

// Repository names one repository of one registry. The zero value names
// nothing. Values are comparable and can be map keys.
type Repository struct {
	// Host is the registry as the user wrote it: "ghcr.io", "127.0.0.1:5000".
	Host string
	// Path is the repository inside it: "datum-cloud/activity-kustomize".
	Path string
}

// The grammar of the OCI distribution specification, "Pulling manifests".
var (
	pathPattern = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagPattern  = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
	hostPattern = regexp.MustCompile(`^(\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?)(:[0-9]{1,5})?$`)
)

// maxName bounds host and path together, as registries do.
const maxName = 255

// ParseRepository reads "oci://host/path" or "host/path". A tag or a digest is
// an error that names it, because a repository with one of them would be
// followed at a version that its user did not ask for.
func ParseRepository(text string) (Repository, error) {
	ref, err := ParseReference(text)
	switch {
	case err != nil:
		return Repository{}, err
	case ref.Tag != "":
		return Repository{}, fmt.Errorf("%q must not contain a tag; remove ':%s'", text, ref.Tag)
	case ref.Digest != "":
		return Repository{}, fmt.Errorf("%q must not contain a digest; remove '@%s'", text, ref.Digest)
	}
	return ref.Repository, nil
}

// String is "host/path".
func (r Repository) String() string { return r.Host + "/" + r.Path }

// URL is "oci://host/path", the form of Flux's spec.url.
func (r Repository) URL() string { return Scheme + r.String() }

// IsLocal tells whether the host is a loopback or private address or a
// *.local name: such registries may answer plain HTTP without being declared
// insecure. Same rule as go-containerregistry (pkg/name/registry.go), which
// Flux uses, so that the same URLs work.
func (r Repository) IsLocal() bool {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if host == "localhost" || strings.HasSuffix(host, ".local") || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && (addr.IsLoopback() || addr.IsPrivate() && addr.Is4())
}

// Reference names content in a repository: by tag, by digest, or, with
// neither, by nothing yet.
type Reference struct {
	Repository
	Tag    string
	Digest digest.Digest
}

// ParseReference reads "[oci://]host/path[:tag][@digest]". Text without a host
// belongs to Docker Hub, as everywhere in the container world.
func ParseReference(text string) (Reference, error) {
	rest := strings.TrimPrefix(text, Scheme)
	if rest == "" {
		return Reference{}, fmt.Errorf("%q names no repository; want oci://HOST/PATH", text)
	}
	if scheme, _, found := strings.Cut(rest, "://"); found {
		return Reference{}, fmt.Errorf("%q has the scheme %s://; only %s names a repository", text, scheme, Scheme)
	}
	var ref Reference
	rest, dgst, found := strings.Cut(rest, "@")
	if found {
		parsed, err := ParseDigest(dgst)
		if err != nil {
			return Reference{}, fmt.Errorf("%q: %w", text, err)
		}
		ref.Digest = parsed
	}
	// A colon after the last slash starts a tag; one before it is a port.
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, '/') && strings.Contains(rest, "/") {
		ref.Tag = rest[i+1:]
		rest = rest[:i]
		if err := CheckTag(ref.Tag); err != nil {
			return Reference{}, fmt.Errorf("%q: %w", text, err)
		}
	}
	repo, err := splitHost(rest)
	if err != nil {
		return Reference{}, fmt.Errorf("%q: %w", text, err)
	}
	ref.Repository = repo
	return ref, nil
}

// String is the reference as ParseReference reads it, without the scheme.
func (r Reference) String() string {
	text := r.Repository.String()
	if r.Tag != "" {
		text += ":" + r.Tag
	}
	if r.Digest != "" {
		text += "@" + r.Digest.String()
	}
	return text
}

func splitHost(name string) (Repository, error) {
	host, path, found := strings.Cut(name, "/")
	if !found || !strings.ContainsAny(host, ".:[") && host != "localhost" {
		host, path = dockerHub, name
	}
	if host == dockerHub && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	switch {
	case !hostPattern.MatchString(host):
		return Repository{}, fmt.Errorf("%q is no registry host", host)
	case len(host)+1+len(path) > maxName:
		return Repository{}, fmt.Errorf("the repository name is longer than %d characters", maxName)
	case !pathPattern.MatchString(path):
		return Repository{}, fmt.Errorf("%q is no repository path: lower-case letters, digits, '.', '_', '-' between slashes", path)
	}
	return Repository{Host: host, Path: path}, nil
}

// CheckTag says why a text cannot be a tag; nil means that it can.
func CheckTag(tag string) error {
	switch {
	case tag == "":
		return fmt.Errorf("the tag is empty")
	case len(tag) > 128:
		return fmt.Errorf("tag %.20s… has %d characters; registries take at most 128", tag, len(tag))
	case !tagPattern.MatchString(tag):
		return fmt.Errorf("%q is no tag: letters, digits, '_', '.', '-', not starting with '.' or '-' (a '+' of a version is written '_')", tag)
	}
	return nil
}

// ParseDigest reads "algorithm:hex" with an algorithm that can be verified.
func ParseDigest(text string) (digest.Digest, error) {
	parsed, err := digest.Parse(text)
	if err != nil {
		return "", fmt.Errorf("%q is no digest (want sha256: and 64 hex digits): %w", text, err)
	}
	return parsed, nil
}
