package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
)

// workshop is a copy of a bundle's directory, to make releases of.
type workshop struct {
	dir, url, image string
	std             IO
	builds          int // of those tagged for staging
}

// names of what the story of examples/activity is about.
const (
	activityURL   = "/activity-kustomize"
	activityImage = "ghcr.io/datum-cloud/activity"
	stagingTag    = "-staging-test-deploy-"
)

func (e example) workshop(std IO, registry, dir string) (*workshop, error) {
	for _, s := range e.Sources {
		if strings.HasSuffix(s.URL, activityURL) {
			w := &workshop{dir: dir, url: in(registry, s), image: activityImage, std: std, builds: 1}
			if err := os.CopyFS(dir, os.DirFS(e.path(s))); err != nil {
				return nil, fmt.Errorf("copying %s: %w", e.path(s), err)
			}
			return w, nil
		}
	}
	return nil, fmt.Errorf("the example has no bundle …%s", activityURL)
}

// edit replaces a text that has to be in a file.
func (w *workshop) edit(file, old, new string) error {
	name := filepath.Join(w.dir, filepath.FromSlash(file))
	raw, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if !strings.Contains(string(raw), old) {
		return fmt.Errorf("editing %s: there is no %q in it", file, old)
	}
	return os.WriteFile(name, []byte(strings.Replace(string(raw), old, new, 1)), 0o600)
}

// edition is a release as the clusters should see it.
type edition struct {
	stable, staging string // tags; stable is empty for a pre-release
	digest          digest.Digest
}

// tag is what a cluster takes of the release; empty is nothing.
func (v edition) tag(cluster string) string {
	if cluster == "staging" {
		return v.staging
	}
	return v.stable
}

func (v edition) revision(cluster string) string {
	return v.tag(cluster) + "@" + v.digest.String()
}

// prerelease publishes for staging only, release for all.
func (w *workshop) prerelease(ctx context.Context, number string) (edition, error) {
	w.builds++
	return w.push(ctx, edition{staging: fmt.Sprintf("%s%s%d", number, stagingTag, w.builds)}, number, "")
}

func (w *workshop) release(ctx context.Context, number string) (edition, error) {
	w.builds++
	return w.push(ctx, edition{stable: number, staging: fmt.Sprintf("%s%s%d", number, stagingTag, w.builds)}, number, "")
}

// again publishes what is there already as if it came from another commit: the
// same content under a new digest.
func (w *workshop) again(ctx context.Context, v edition) (edition, error) {
	return w.push(ctx, v, v.stable, "main@sha1:0000000000000000000000000000000000000000")
}

func (w *workshop) push(ctx context.Context, v edition, number, revision string) (edition, error) {
	tags := []string{v.staging}
	if v.stable != "" {
		tags = []string{v.stable, v.staging}
	}
	var err error
	v.digest, err = release{
		url: w.url, tags: tags, path: w.dir, source: "demo", revision: revision,
		images: []string{w.image + "=:" + number}, in: "image",
	}.push(ctx, w.std)
	return v, err
}
