package hint

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/internal/artifact"
)

// Repositories finds the repositories that a webhook's body names. An empty
// Host means that the sender does not know under which name it is reached.
//
// Known senders: CNCF Distribution notifications; GitHub (GHCR) package and
// registry_package events; Docker Hub, Quay, Harbor, GCR, ACR and Nexus in the
// shapes that Flux's Receiver takes (notification-controller
// internal/server/receiver_handlers.go); and the generic {"repository": "…"}.
func Repositories(body []byte) []artifact.Repository {
	var p payload
	var other *json.UnmarshalTypeError // a field of some other sender; the rest was read
	if err := json.Unmarshal(body, &p); err != nil && !errors.As(err, &other) {
		return nil
	}
	var found []artifact.Repository
	add := func(host, path string) {
		path = strings.Trim(path, "/")
		if path == "" {
			return
		}
		repo := artifact.Repository{Host: host, Path: path}
		if host == "" {
			if ref, err := artifact.ParseReference("localhost/" + path); err != nil || ref.Path != path {
				return
			}
		} else if ref, err := artifact.ParseReference(repo.String()); err != nil || ref.Repository != repo {
			return
		}
		if !slices.Contains(found, repo) {
			found = append(found, repo)
		}
	}
	name := func(reference string) {
		reference = strings.TrimPrefix(strings.TrimPrefix(reference, "https://"), "http://")
		if ref, err := artifact.ParseReference(reference); err == nil {
			add(ref.Host, ref.Path)
		}
	}
	for _, e := range p.Events { // CNCF Distribution
		if e.Action == "" || e.Action == "push" || e.Action == "delete" {
			add("", e.Target.Repository)
		}
	}
	for _, pkg := range []*githubPackage{p.Package, p.RegistryPackage} {
		if pkg != nil && strings.EqualFold(cmpOr(pkg.Ecosystem, pkg.PackageType, "container"), "container") {
			add("ghcr.io", strings.ToLower(cmpOr(pkg.Namespace, pkg.Owner.Login)+"/"+pkg.Name))
		}
	}
	if p.EventData != nil { // Harbor
		for _, r := range p.EventData.Resources {
			name(r.ResourceURL)
		}
		add("", p.EventData.Repository.FullName)
	}
	if p.Target != nil { // ACR
		add(p.Request.Host, p.Target.Repository)
	}
	if p.Message != nil { // GCR, by Pub/Sub
		var inner struct{ Digest, Tag string }
		if data, err := base64.StdEncoding.DecodeString(p.Message.Data); err == nil && json.Unmarshal(data, &inner) == nil {
			name(cmpOr(inner.Digest, inner.Tag))
		}
	}
	if p.DockerURL != "" { // Quay
		name(p.DockerURL)
	}
	if p.Component != nil { // Nexus
		add("", p.Component.Name)
	}
	switch r := p.Repository.(type) {
	case string: // generic
		name(r)
	case map[string]any: // Docker Hub
		if repo, ok := r["repo_name"].(string); ok && !strings.Contains(strings.Split(repo, "/")[0], ".") {
			name("docker.io/" + repo)
		}
	}
	return found
}

type payload struct {
	Events []struct {
		Action string
		Target struct{ Repository string }
	}
	Package         *githubPackage
	RegistryPackage *githubPackage `json:"registry_package"`
	EventData       *struct {
		Repository struct {
			FullName string `json:"repo_full_name"`
		}
		Resources []struct {
			ResourceURL string `json:"resource_url"`
		}
	} `json:"event_data"`
	Target  *struct{ Repository string }
	Request struct{ Host string }
	Message *struct {
		Data string
	}
	DockerURL  string `json:"docker_url"`
	Component  *struct{ Name string }
	Repository any
}

type githubPackage struct {
	Name, Namespace, Ecosystem string
	PackageType                string `json:"package_type"`
	Owner                      struct{ Login string }
}

func cmpOr(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
