package artifacts

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/rogpeppe/go-internal/txtar"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/archive"
)

// Source is an object with an artifact, and what it shall have published.
type Source struct {
	Kind            string // GitRepository, which empty means, or ExternalArtifact
	Namespace, Name string
	Revision        string
	Files           map[string]string // by slash path; nil publishes an empty archive
	Metadata        map[string]string // of the artifact
	// Withheld reports the artifact without serving it: its URL answers 404 until
	// the same files are published without this.
	Withheld bool
}

// Files reads files out of a txtar archive.
func Files(text string) map[string]string {
	files := map[string]string{}
	for _, f := range txtar.Parse([]byte(text)).Files {
		files[f.Name] = string(f.Data)
	}
	return files
}

// specOwner owns the object, statusOwner its status: as in a cluster
// where somebody writes the one and source-controller the other.
const (
	specOwner   = client.FieldOwner("sluice-test")
	statusOwner = client.FieldOwner("source-controller")
)

// Publish serves files, and creates or changes the object so that it looks as
// after a successful fetch of them. It returns the artifact's URL. The
// status is one write: a consumer never sees half of it.
func (s *Server) Publish(ctx context.Context, c client.Client, src Source) (url string, err error) {
	packed, err := pack(src.Files)
	if err != nil {
		return "", fmt.Errorf("packing the artifact of %s/%s: %w", src.Namespace, src.Name, err)
	}
	sum := digest.FromBytes(packed)
	path := place(src.Namespace, src.Name) + "/" + sum.Encoded() + ".tar.gz"
	if !src.Withheld {
		s.mu.Lock()
		s.archives[path] = packed
		s.mu.Unlock()
	}
	artifact := map[string]any{
		"path": path, "url": s.http.URL + "/" + path, "revision": src.Revision, "digest": sum.String(),
		"lastUpdateTime": now(), "size": int64(len(packed)),
	}
	if len(src.Metadata) > 0 {
		metadata := map[string]any{}
		for k, v := range src.Metadata {
			metadata[k] = v
		}
		artifact["metadata"] = metadata
	}
	return s.http.URL + "/" + path, s.report(ctx, c, src, artifact)
}

// Promise creates a GitRepository that has not published anything yet.
func (s *Server) Promise(ctx context.Context, c client.Client, namespace, name string) error {
	_, err := apply(ctx, c, Source{Namespace: namespace, Name: name})
	return err
}

func (s *Server) report(ctx context.Context, c client.Client, src Source, artifact map[string]any) error {
	o, err := apply(ctx, c, src)
	if err != nil {
		return err
	}
	status := named(src)
	fields := map[string]any{
		"artifact": artifact,
		"conditions": []any{map[string]any{
			"type": "Ready", "status": "True", "reason": "Succeeded", "observedGeneration": o.GetGeneration(),
			"message": "stored artifact for revision '" + src.Revision + "'", "lastTransitionTime": now(),
		}},
	}
	if o.GetKind() == gitRepository {
		fields["observedGeneration"] = o.GetGeneration()
	}
	status.Object["status"] = fields
	err = c.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(status), statusOwner, client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("reporting the artifact of %s %s/%s: %w", status.GetKind(), src.Namespace, src.Name, err)
	}
	return nil
}

// apply writes the object without its status, and returns it as it is then.
func apply(ctx context.Context, c client.Client, src Source) (*unstructured.Unstructured, error) {
	o := named(src)
	if o.GetKind() == gitRepository {
		o.Object["spec"] = map[string]any{"url": "https://example.com/" + src.Namespace + "/" + src.Name, "interval": "1h0m0s"}
	}
	err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(o), specOwner, client.ForceOwnership)
	if err != nil {
		return nil, fmt.Errorf("applying %s %s/%s: %w", o.GetKind(), src.Namespace, src.Name, err)
	}
	return o, nil
}

const gitRepository = "GitRepository"

func named(src Source) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{}}
	o.SetAPIVersion("source.toolkit.fluxcd.io/v1")
	o.SetKind(cmp.Or(src.Kind, gitRepository))
	o.SetNamespace(src.Namespace)
	o.SetName(src.Name)
	return o
}

func pack(files map[string]string) ([]byte, error) {
	var list []archive.File
	for _, name := range slices.Sorted(maps.Keys(files)) {
		list = append(list, archive.File{Path: name, Mode: 0o644, Data: []byte(files[name])})
	}
	tree, err := archive.NewTree(list)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = archive.Write(&out, tree, archive.NormalModes, nil)
	return out.Bytes(), err
}

func now() string { return time.Now().UTC().Format(time.RFC3339) }
