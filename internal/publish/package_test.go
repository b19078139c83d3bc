package publish_test

import (
	"encoding/json"
	"flag"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sluice-dev/sluice/internal/publish"
)

var update = flag.Bool("update", false, "write the goldens")

var about = publish.About{
	Source: "https://github.com/org/app", Revision: "main@sha1:abcdef",
	Created: time.Date(2026, 11, 20, 10, 15, 0, 500, time.FixedZone("", 3600)),
}

var content = map[string]string{
	"kustomization.yaml": "resources: [a.yaml, b.yaml]\n", "a.yaml": "a: 1\n", "b.yaml": "b: 2\n", "c/d.yaml": "d: 3\n",
}

func pack(t *testing.T, files map[string]string, about publish.About) publish.Package {
	t.Helper()
	p, err := publish.Pack(tree(t, files), about)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPackDependsOnNothingElse(t *testing.T) {
	want := pack(t, content, about)
	for range 20 {
		if got := pack(t, content, about); got.Digest() != want.Digest() {
			t.Fatalf("packed twice: %s and %s", want.Digest(), got.Digest())
		}
	}
	utc := about
	utc.Created = about.Created.UTC().Truncate(time.Second)
	if got := pack(t, content, utc); got.Digest() != want.Digest() {
		t.Error("the zone of a time, or less than a second of it, changed the digest")
	}
}

func TestPackDependsOnAllThatIsSaid(t *testing.T) {
	seen := map[string]string{pack(t, content, about).Digest().String(): "as it is"}
	for what, change := range map[string]func(map[string]string, *publish.About){
		"source":     func(_ map[string]string, a *publish.About) { a.Source = "elsewhere" },
		"revision":   func(_ map[string]string, a *publish.About) { a.Revision = "main@sha1:123456" },
		"time":       func(_ map[string]string, a *publish.About) { a.Created = a.Created.Add(time.Second) },
		"annotation": func(_ map[string]string, a *publish.About) { a.Annotations = map[string]string{"k": "v"} },
		"content":    func(f map[string]string, _ *publish.About) { f["a.yaml"] = "a: 2\n" },
		"name":       func(f map[string]string, _ *publish.About) { f["a.yml"] = f["a.yaml"]; delete(f, "a.yaml") },
	} {
		files, said := map[string]string{}, about
		for name, text := range content {
			files[name] = text
		}
		change(files, &said)
		dgst := pack(t, files, said).Digest().String()
		if other, found := seen[dgst]; found {
			t.Errorf("another %s has the digest of %s", what, other)
		}
		seen[dgst] = what
	}
}

// What is in a package, except for what compression decides: the same bundle
// must have the same content on every machine and with every release.
func TestPackage(t *testing.T) {
	said := about
	said.Annotations = map[string]string{"team": "shipping", ocispec.AnnotationSource: "annotations win"}
	p := pack(t, content, said)
	var manifest ocispec.Manifest
	var config ocispec.Image
	if err := json.Unmarshal(p.Manifest.Content, &manifest); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(p.Config.Content, &config); err != nil {
		t.Fatal(err)
	}
	for _, b := range []publish.Blob{p.Layer, p.Config, p.Manifest} {
		if b.Digest.Algorithm().FromBytes(b.Content) != b.Digest || b.Size != int64(len(b.Content)) {
			t.Errorf("%s does not describe its content", b.MediaType)
		}
	}
	got := map[string]any{
		"manifest":    manifest.MediaType,
		"config":      manifest.Config.MediaType,
		"configIs":    manifest.Config.Digest == p.Config.Digest,
		"layer":       manifest.Layers[0].MediaType,
		"layerIs":     len(manifest.Layers) == 1 && manifest.Layers[0].Digest == p.Layer.Digest,
		"annotations": manifest.Annotations,
		"created":     config.Created.Format(time.RFC3339),
		"tar":         config.RootFS.DiffIDs[0].String(),
	}
	want := map[string]any{
		"manifest": "application/vnd.oci.image.manifest.v1+json",
		"config":   "application/vnd.cncf.flux.config.v1+json",
		"configIs": true,
		"layer":    "application/vnd.cncf.flux.content.v1.tar+gzip",
		"layerIs":  true,
		"annotations": map[string]string{
			"org.opencontainers.image.created":  "2026-11-20T09:15:00Z",
			"org.opencontainers.image.revision": "main@sha1:abcdef",
			"org.opencontainers.image.source":   "annotations win",
			"team":                              "shipping",
		},
		"created": "2026-11-20T09:15:00Z",
		"tar":     "sha256:de34c9877ff208871a51b4159b0c573878e1f0879e43eb908a19ee598e0487fd",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
