package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/sluice-dev/sluice/internal/fleet"
)

// registryVariable is the one that a lab sets in every cluster.
const registryVariable = "REGISTRY"

// example is a fleet with the directory that its paths start from.
type example struct {
	dir string // as the user wrote it
	fleet.Fleet
}

func openExample(dir string) (example, error) {
	raw, err := os.ReadFile(filepath.Join(dir, fleet.File))
	if err != nil {
		return example{}, &Problem{
			Code: codeOf(err), What: fmt.Sprintf("%s has no %s that can be read", dir, fleet.File), Why: cause(err),
			Do: []string{"name the directory of a repository that has one"},
		}
	}
	f, err := fleet.Parse(raw)
	if err != nil {
		return example{}, &Problem{Code: Negative, What: "reading " + filepath.Join(dir, fleet.File) + " failed", Why: err, Do: []string{"mend the file"}}
	}
	e := example{dir, f}
	for _, s := range e.All() {
		if info, err := os.Stat(e.path(s)); err != nil || !info.IsDir() {
			return e, &Problem{
				Code: NotFound, What: fmt.Sprintf("%s is no directory", e.path(s)), Why: fmt.Errorf("%s says that %s is made there", fleet.File, s.URL),
				Do: []string{"mend the path"},
			}
		}
	}
	return e, nil
}

func (e example) path(s fleet.Source) string { return filepath.Join(e.dir, filepath.FromSlash(s.Path)) }

// cluster finds an environment by its name.
func (e example) cluster(name string) (fleet.Cluster, bool) {
	i := slices.IndexFunc(e.Clusters, func(c fleet.Cluster) bool { return c.Name == name })
	if i < 0 {
		return fleet.Cluster{}, false
	}
	return e.Clusters[i], true
}

// in is the URL of a source in a registry.
func in(registry string, s fleet.Source) string {
	return fleet.Expand(s.URL, map[string]string{registryVariable: registry})
}

// published is what a push has left in a registry.
type published struct {
	tags   []string
	digest digest.Digest
}

// publish publishes all directories to a registry, side by side, and returns
// what is there by URL.
func (e example) publish(ctx context.Context, std IO, registry string) (map[string]published, error) {
	var mu sync.Mutex
	pushed := map[string]published{}
	var errs []error
	var running sync.WaitGroup
	for i, s := range e.All() {
		running.Go(func() {
			r := release{url: in(registry, s), tags: tagsOf(s), path: e.path(s), source: s.Path}
			if i == 0 {
				r.check = e.entries()
			}
			dgst, err := r.push(ctx, std)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
				return
			}
			pushed[r.url] = published{r.tags, dgst}
		})
	}
	running.Wait()
	for _, url := range slices.Sorted(maps.Keys(pushed)) {
		fmt.Fprintf(std.Err, "%9s%s: %s\n", "", url, strings.Join(pushed[url].tags, ", "))
	}
	return pushed, errors.Join(errs...)
}

// tagsOf are the tags of a first publication.
func tagsOf(s fleet.Source) []string {
	if len(s.Tags) == 0 {
		return []string{"latest"}
	}
	return s.Tags
}

// entries are the directories that clusters follow.
func (e example) entries() []string {
	var dirs []string
	for _, c := range e.Clusters {
		dirs = append(dirs, c.Path)
	}
	return dirs
}

// release is one run of `sluice push`.
type release struct {
	url      string
	tags     []string
	path     string
	source   string
	revision string   // the first tag, unless given
	check    []string // directories that must build
	images   []string // pins as --set-image takes them
	in       string   // where the pins go
}

func (r release) args() []string {
	args := []string{r.url, "--path", r.path}
	for _, tag := range r.tags {
		args = append(args, "--tag", tag)
	}
	for _, dir := range r.check {
		args = append(args, "--check", dir)
	}
	for _, image := range r.images {
		args = append(args, "--set-image", image, "--in", r.in)
	}
	return append(args, "--source", r.source, "--revision", cmp.Or(r.revision, r.tags[0]))
}

// push publishes by the command that users have; what it says is shown only if
// it fails.
func (r release) push(ctx context.Context, std IO) (digest.Digest, error) {
	var out bytes.Buffer
	c := newPush(IO{In: strings.NewReader(""), Out: &out, Err: io.Discard, Getenv: std.Getenv, Version: std.Version})
	c.SilenceErrors, c.SilenceUsage = true, true
	c.SetArgs(r.args())
	if err := c.ExecuteContext(ctx); err != nil {
		return "", err
	}
	_, dgst, _ := strings.Cut(strings.TrimSpace(out.String()), "@")
	return digest.Digest(dgst), nil
}
