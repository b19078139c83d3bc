package oracle

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	fluxoci "github.com/fluxcd/pkg/oci"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/go-containerregistry/pkg/crane"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/internal/archive"
	"github.com/sluice-dev/sluice/internal/artifact"
	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/follow"
	"github.com/sluice-dev/sluice/internal/publish"
	"github.com/sluice-dev/sluice/internal/source/oci"
	"github.com/sluice-dev/sluice/internal/source/oci/registrytest"
	"github.com/sluice-dev/sluice/internal/store"
	"github.com/sluice-dev/sluice/internal/version"
)

var created = time.Date(2026, 11, 20, 10, 11, 12, 0, time.UTC)

func fluxClient() *fluxoci.Client { return fluxoci.NewClient(fluxoci.DefaultOptions()) }

func ourClient(t tester, repo artifact.Repository) *oci.Client {
	t.Helper()
	c, err := oci.NewRegistries(oci.Options{}).Client(oci.Access{Repository: repo})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func ask() follow.Ask { return follow.Ask{NotBefore: time.Now(), Timeout: 30 * time.Second, Now: true} }

// genAbout draws what is said of content, without its time.
func genAbout() *rapid.Generator[fluxoci.Metadata] {
	text := rapid.SampledFrom([]string{"", "https://example.com/repo.git", "main@sha1:0123", "é <&> \"quoted\" \u2028"})
	return rapid.Custom(func(t *rapid.T) fluxoci.Metadata {
		return fluxoci.Metadata{
			Created: created.Format(time.RFC3339), Source: text.Draw(t, "source"), Revision: text.Draw(t, "revision"),
			Annotations: rapid.MapOfN(rapid.SampledFrom([]string{"a", "org.opencontainers.image.title", "org.opencontainers.image.source", "é"}), text, 0, 3).Draw(t, "annotations"),
		}
	})
}

func aboutOf(m fluxoci.Metadata) publish.About {
	return publish.About{Source: m.Source, Revision: m.Revision, Created: created, Annotations: m.Annotations}
}

// fluxPush pushes with Flux and returns the digest.
func fluxPush(t *rapid.T, repo artifact.Repository, tag, dir string, about fluxoci.Metadata) digest.Digest {
	t.Helper()
	pushed, err := fluxClient().Push(t.Context(), repo.String()+":"+tag, dir, fluxoci.WithPushMetadata(about))
	if err != nil {
		t.Fatal(err)
	}
	ref, err := artifact.ParseReference(pushed)
	if err != nil {
		t.Fatal(err)
	}
	return ref.Digest
}

func TestWeConsumeWhatFluxPushes(t *testing.T) {
	registry, n := registrytest.New(t), 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		repo := registry.Repository(fmt.Sprintf("from-flux/r%d", n))
		dir := onDisk(t, genTree().Draw(t, "tree"))
		about := genAbout().Draw(t, "about")
		pushed := fluxPush(t, repo, "v1.2.3", dir, about)

		client := ourClient(t, repo)
		tags, err := client.Tags(t.Context(), ask())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"v1.2.3"}, tags.Value); diff != "" {
			t.Fatal(diff)
		}
		resolved, err := client.Resolve(t.Context(), "v1.2.3", ask())
		if err != nil {
			t.Fatal(err)
		}
		if resolved.Value != pushed {
			t.Fatalf("the tag resolves to %s; Flux pushed %s", resolved.Value, pushed)
		}
		manifest, err := client.Manifest(t.Context(), pushed, ask())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(about.ToAnnotations(), manifest.Annotations); diff != "" {
			t.Fatal(diff)
		}
		for _, mediaType := range []string{"", artifact.ContentMediaType} {
			layer, err := manifest.Select(mediaType)
			if err != nil {
				t.Fatal(err)
			}
			body, err := client.Layer(t.Context(), layer, 10*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer body.Close()
			tree, err := archive.Read(body, archive.DefaultLimits)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(contents(t, os.DirFS(dir)), contents(t, tree)); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

func TestFluxConsumesWhatWePush(t *testing.T) {
	registry, n := registrytest.New(t), 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		repo := registry.Repository(fmt.Sprintf("from-us/r%d", n))
		dir := onDisk(t, genTree().Draw(t, "tree"))
		about := genAbout().Draw(t, "about")
		pushed, err := ourClient(t, repo).Push(t.Context(), ourPackage(t, dir, nil, aboutOf(about)), []string{"v1", "latest"})
		if err != nil {
			t.Fatal(err)
		}
		url, into := repo.String()+":latest", tempDir(t)
		meta, err := fluxClient().Pull(t.Context(), url, into)
		if err != nil {
			t.Fatal(err)
		}
		want := fluxoci.MetadataFromAnnotations(about.ToAnnotations())
		want.URL, want.Digest = url, repo.String()+"@"+pushed.String()
		if diff := cmp.Diff(want, meta); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(contents(t, os.DirFS(dir)), contents(t, os.DirFS(into))); diff != "" {
			t.Fatal(diff)
		}
		if err := fluxClient().Diff(t.Context(), url, dir, nil); err != nil {
			t.Fatalf("flux diff artifact: %v", err)
		}
		image, err := crane.Pull(url)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(image); err != nil {
			t.Fatal(err)
		}
	})
}

// Pushes of one directory by Flux and by us differ in nothing that a consumer
// looks at.
func TestPushesAreAlike(t *testing.T) {
	registry, n := registrytest.New(t), 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		repo := registry.Repository(fmt.Sprintf("alike/r%d", n))
		dir := onDisk(t, genTree().Draw(t, "tree"))
		about := genAbout().Draw(t, "about")
		fluxPush(t, repo, "flux", dir, about)
		if _, err := ourClient(t, repo).Push(t.Context(), ourPackage(t, dir, nil, aboutOf(about)), []string{"ours"}); err != nil {
			t.Fatal(err)
		}
		fluxManifest, fluxConfig := pulled(t, repo.String()+":flux")
		ourManifest, ourConfig := pulled(t, repo.String()+":ours")
		// Flux's config says nothing of the layer, ours names its diff ID and one
		// step of history: hence another digest of the config and the manifest.
		if diff := cmp.Diff(fluxManifest, ourManifest, cmpopts.IgnoreFields(v1.Descriptor{}, "Digest", "Size")); diff != "" {
			t.Fatalf("manifest (-Flux +ours):\n%s", diff)
		}
		if diff := cmp.Diff(fluxManifest.Layers, ourManifest.Layers); diff != "" {
			t.Fatalf("layers (-Flux +ours):\n%s", diff)
		}
		more := cmp.Options{cmpopts.IgnoreFields(v1.ConfigFile{}, "History"), cmpopts.IgnoreFields(v1.RootFS{}, "DiffIDs")}
		if diff := cmp.Diff(fluxConfig, ourConfig, more); diff != "" {
			t.Fatalf("config (-Flux +ours):\n%s", diff)
		}
	})
}

func pulled(t tester, url string) (*v1.Manifest, *v1.ConfigFile) {
	t.Helper()
	image, err := crane.Pull(url)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := image.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	var config v1.ConfigFile
	if err := json.Unmarshal(raw, &config); err != nil {
		t.Fatal(err)
	}
	return manifest, &config
}

// The whole way: Flux pushes, a source follows, the store serves. What it
// serves and what it says of it is Flux's.
func TestFollowedArtifact(t *testing.T) {
	dir := onDisk(t, files(map[string]string{
		".sourceignore": "*.md\n", "a.yaml": "a", "README.md": "r", ".github/w.yaml": "w", "sub/.sourceignore": "!README.md\nb.yaml", "sub/README.md": "r", "sub/b.yaml": "b",
	}))
	layer := fluxLayer(t, dir, nil)
	repo := registrytest.New(t).Repository("org/app")
	about := fluxoci.Metadata{Created: created.Format(time.RFC3339), Source: "https://example.com", Revision: "main@sha1:1"}
	for _, tag := range []string{"v1.0.0", "v1.1.0", "v2.0.0-rc.1", "latest"} {
		if _, err := fluxClient().Push(t.Context(), repo.String()+":"+tag, dir, fluxoci.WithPushMetadata(about)); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		ignore *string
		copied bool
	}{
		"no spec.ignore":    {},
		"empty spec.ignore": {ignore: new("")},
		"spec.ignore":       {ignore: new("!README.md\n/sub/")},
		"layer copied":      {copied: true},
	} {
		t.Run(name, func(t *testing.T) {
			want := stored{content: layer, digest: digest.FromBytes(layer), size: int64(len(layer))}
			if !c.copied {
				var err error
				if want, err = fluxStored(t, layer, c.ignore); err != nil {
					t.Fatal(err)
				}
			}
			rule, err := version.Parse(version.Policy{SemVer: ">=1.0.0"})
			if err != nil {
				t.Fatal(err)
			}
			root := t.TempDir()
			shelf, err := store.Open(root, store.Options{Address: "localhost"})
			if err != nil {
				t.Fatal(err)
			}
			var events []event.Event
			follower := follow.Follower{Limits: archive.DefaultLimits, Unpacking: make(chan struct{}, 1)}
			follower.Once(t.Context(), follow.Want{
				Source:     follow.Source{Kind: "OCIRepository", Namespace: "ns", Name: "app"},
				Repository: repo, Rule: rule, Copy: c.copied, Ignore: c.ignore, Ask: ask(),
			}, follow.Have{}, ourClient(t, repo), shelf, func(e event.Event) { events = append(events, e) })
			outcome := events[len(events)-1]
			if outcome.Stored == nil {
				t.Fatalf("%+v", outcome.Failed)
			}
			content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(outcome.Stored.Path)))
			if err != nil {
				t.Fatal(err)
			}
			equalBytes(t, "stored artifact", want.content, content)
			head, err := crane.Head(repo.String() + ":v1.1.0")
			if err != nil {
				t.Fatal(err)
			}
			expected := event.Stored{
				Revision: "v1.1.0@" + head.Digest.String(), Digest: want.digest.String(), Size: want.size, Metadata: about.ToAnnotations(),
				Path: "ocirepository/ns/app/" + head.Digest.String() + ".tar.gz",
			}
			if diff := cmp.Diff(expected, *outcome.Stored, cmpopts.IgnoreFields(event.Stored{}, "URL", "Latest")); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

// Flux lists what we push, and what we tag again.
func TestFluxListsWhatWePush(t *testing.T) {
	repo := registrytest.New(t).Repository("org/app")
	client := ourClient(t, repo)
	dir := onDisk(t, files(map[string]string{"a.yaml": "a"}))
	about := publish.About{Source: "https://example.com", Revision: "main@sha1:1", Created: created}
	pushed, err := client.Push(t.Context(), ourPackage(t, dir, nil, about), []string{"v1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Tag(t.Context(), pushed.String(), []string{"v1.0.1"}); err != nil {
		t.Fatal(err)
	}
	got, err := fluxClient().List(t.Context(), repo.String(), fluxoci.ListOptions{SemverFilter: "^1"})
	if err != nil {
		t.Fatal(err)
	}
	var want []fluxoci.Metadata
	for _, tag := range []string{"v1.0.1", "v1.0.0"} {
		want = append(want, fluxoci.Metadata{
			URL: repo.String() + ":" + tag, Digest: pushed.String(),
			Created: created.Format(time.RFC3339), Source: about.Source, Revision: about.Revision,
		})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}
