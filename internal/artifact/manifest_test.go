package artifact

import (
	"strings"
	"testing"
)

func TestParseManifest(t *testing.T) {
	m, err := ParseManifest([]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
		"config":{"mediaType":"c","digest":"sha256:` + hex64 + `","size":2},
		"layers":[{"mediaType":"text/plain","digest":"sha256:` + hex64 + `","size":1},{"mediaType":"` + ChartMediaType + `","digest":"sha256:` + hex64 + `","size":3}],
		"annotations":{"a":"b"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if l, err := m.Select(""); err != nil || l.Size != 1 {
		t.Errorf("first layer: %v, %v", l, err)
	}
	if l, err := m.Select(ChartMediaType); err != nil || l.Size != 3 {
		t.Errorf("chart layer: %v, %v", l, err)
	}
	if _, err := m.Select("image/png"); err == nil || !strings.Contains(err.Error(), "failed to find layer with media type 'image/png'") {
		t.Errorf("missing layer: %v", err)
	}
	for text, want := range map[string]string{
		`not json`:            "no JSON",
		`{}`:                  "schema version 0",
		`{"schemaVersion":1}`: "schema version 1",
		`{"schemaVersion":2,"mediaType":"application/vnd.in-toto+json"}`:                       "an image manifest is needed",
		`{"schemaVersion":2,"layers":[{"digest":"sha256:12","size":1}]}`:                       "no valid digest",
		`{"schemaVersion":2,"layers":[{"digest":"sha256:` + hex64 + `","size":-1}]}`:           "size -1",
		`{"schemaVersion":2,"manifests":[{"digest":"../../etc/passwd","size":1}],"layers":[]}`: "no valid digest",
	} {
		if _, err := ParseManifest([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", text, err, want)
		}
	}
	if _, err := (Manifest{}).Select(""); err == nil || !strings.Contains(err.Error(), "no layers") {
		t.Errorf("no layers: %v", err)
	}
}

// FuzzParseManifest: whatever is accepted can be selected from, and every
// descriptor in it is sound.
func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"layers":[{"digest":"sha256:` + hex64 + `","size":1}]}`))
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"digest":"sha256:` + hex64 + `","platform":{"os":"linux"}}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := ParseManifest(raw)
		if err != nil {
			return
		}
		for _, d := range append(m.Layers, m.Children...) {
			if d.Size < 0 || d.Digest.Validate() != nil {
				t.Fatalf("descriptor %+v was accepted", d)
			}
		}
		if l, err := m.Select(""); err == nil && l.Digest == "" {
			t.Fatal("a layer without a digest was selected")
		}
	})
}
