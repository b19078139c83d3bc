package oracle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/artifact/storage"
	"github.com/fluxcd/pkg/sourceignore"
	fluxtar "github.com/fluxcd/pkg/tar"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/internal/archive"
	"github.com/sluice-dev/sluice/internal/ignore"
)

// stored is a file that an artifact server hands out.
type stored struct {
	content []byte
	digest  digest.Digest
	size    int64
}

// fluxStored does with a layer what source-controller does
// (ocirepository_controller.go reconcileSource and reconcileArtifact).
func fluxStored(t tester, layer []byte, spec *string) (stored, error) {
	t.Helper()
	dir := tempDir(t)
	if err := fluxtar.Untar(bytes.NewReader(layer), dir, fluxtar.WithMaxUntarSize(-1), fluxtar.WithSkipSymlinks()); err != nil {
		return stored{}, err
	}
	domain := strings.Split(dir, string(filepath.Separator))
	rules, err := sourceignore.LoadIgnorePatterns(dir, domain)
	if err != nil {
		return stored{}, err
	}
	if spec != nil {
		rules = append(rules, sourceignore.ReadPatterns(strings.NewReader(*spec), domain)...)
	}
	shelf := storage.Storage{BasePath: tempDir(t), Hostname: "localhost"}
	made := shelf.NewArtifactFor("OCIRepository", &metav1.ObjectMeta{Namespace: "ns", Name: "app"}, "v1@sha256:0", "sha256:0.tar.gz")
	if err := shelf.MkdirAll(made); err != nil {
		return stored{}, err
	}
	if err := shelf.Archive(&made, dir, storage.SourceIgnoreFilter(rules, domain)); err != nil {
		return stored{}, err
	}
	content, err := os.ReadFile(shelf.LocalPath(made))
	return stored{content: content, digest: digest.Digest(made.Digest), size: *made.Size}, err
}

// ourStored does with a layer what package follow does.
func ourStored(layer []byte, spec *string) (stored, error) {
	tree, err := archive.Read(bytes.NewReader(layer), archive.DefaultLimits)
	if err != nil {
		return stored{}, err
	}
	skip, err := ignore.ForSource(tree, spec)
	if err != nil {
		return stored{}, err
	}
	var content bytes.Buffer
	if err := archive.Write(&content, tree, archive.NormalModes, skip); err != nil {
		return stored{}, err
	}
	return stored{content: content.Bytes(), digest: digest.FromBytes(content.Bytes()), size: int64(content.Len())}, nil
}

func sameStored(t tester, layer []byte, spec *string) {
	t.Helper()
	flux, err := fluxStored(t, layer, spec)
	if err != nil {
		t.Fatalf("Flux: %v", err)
	}
	ours, err := ourStored(layer, spec)
	if err != nil {
		t.Fatalf("ours: %v", err)
	}
	equalBytes(t, "stored artifact", flux.content, ours.content)
	if flux.digest != ours.digest || flux.size != ours.size {
		t.Fatalf("Flux says %s, %d bytes; ours is %s, %d bytes", flux.digest, flux.size, ours.digest, ours.size)
	}
}

// genSpec draws a spec.ignore; nil is an absent one.
func genSpec() *rapid.Generator[*string] {
	said := rapid.Map(genRules(), func(rules []string) *string {
		text := strings.Join(rules, "\n")
		return &text
	})
	return rapid.OneOf(rapid.Just[*string](nil), rapid.Just(new("")), said, said)
}

func TestStoredArtifact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		layer := fluxLayer(t, onDisk(t, genTree().Draw(t, "tree")), nil)
		sameStored(t, layer, genSpec().Draw(t, "spec.ignore"))
	})
}

func TestStoredArtifactOfCorpus(t *testing.T) {
	for _, bundle := range corpus(t) {
		t.Run(filepath.ToSlash(bundle), func(t *testing.T) {
			layer := fluxLayer(t, bundle, nil)
			for _, spec := range []*string{nil, new(""), new("# nothing"), new("*.md\n!README.md\n"), new("/*\n!/base\n!/cluster*\n")} {
				sameStored(t, layer, spec)
			}
		})
	}
}

func TestStoredArtifactCases(t *testing.T) {
	plain := map[string]string{
		".gitignore": "x", ".gitmodules": "x", ".github/w.yaml": "w", ".sops.yaml": "s", "sub/.sops.yaml": "s", "logo.png": "p",
		"a.yaml": "a", "sub/a.yaml": "a", "sub/b.yaml": "b", "sub/deep/a.yaml": "a", "other/a.yaml": "a", ".git/.sourceignore": "*",
	}
	for name, c := range map[string]struct {
		rules map[string]string // .sourceignore by directory
		spec  *string
	}{
		"nobody says anything":                  {},
		"an empty spec":                         {spec: new("")},
		"a spec of comments":                    {spec: new("# a\n\n")},
		"a spec brings back built-in ones":      {spec: new("!.gitignore\n!logo.png")},
		"empty file":                            {rules: map[string]string{".": ""}},
		"file of comments, spec of rules":       {rules: map[string]string{".": "# a\n"}, spec: new("*.yaml")},
		"file at the root":                      {rules: map[string]string{".": "a.yaml\n"}},
		"anchored at the root":                  {rules: map[string]string{".": "/a.yaml\n"}},
		"below a directory":                     {rules: map[string]string{"sub": "a.yaml\n"}},
		"anchored below a directory":            {rules: map[string]string{"sub": "/a.yaml\n"}},
		"the deeper file wins":                  {rules: map[string]string{".": "a.yaml\n", "sub": "!a.yaml\n", "sub/deep": "a.yaml\n"}},
		"the spec wins over files":              {rules: map[string]string{"sub": "*.yaml\n"}, spec: new("!sub/a.yaml")},
		"the parent is out, the child is not":   {spec: new("sub/\n!sub/deep/a.yaml")},
		"the file leaves itself out":            {rules: map[string]string{".": ".sourceignore\na.yaml\n"}},
		"a file in a directory that is out":     {rules: map[string]string{".": "sub\n", "sub": "!a.yaml\n"}},
		"everything is out":                     {spec: new("*")},
		"everything but one directory":          {spec: new("/*\n!/sub")},
		"carriage returns":                      {rules: map[string]string{".": "a.yaml\r\n!sub/a.yaml\r\n"}},
		"a rule longer than the scanner's line": {spec: new("a.yaml\n" + strings.Repeat("x", 70_000) + "\nb.yaml\n")},
	} {
		t.Run(name, func(t *testing.T) {
			contents := map[string]string{}
			for p, text := range plain {
				contents[p] = text
			}
			for dir, text := range c.rules {
				contents[filepath.ToSlash(filepath.Join(dir, ".sourceignore"))] = text
			}
			sameStored(t, fluxLayer(t, onDisk(t, files(contents)), nil), c.spec)
		})
	}
	t.Run("a directory has the name of the file", func(t *testing.T) {
		layer := fluxLayer(t, onDisk(t, files(map[string]string{"sub/.sourceignore/a.yaml": "a", ".sourceignore": "*.png", "b.png": "b"})), nil)
		sameStored(t, layer, nil)
	})
}

// packed makes a layer of raw headers, as tools other than Flux do.
func packed(t tester, headers ...tar.Header) []byte {
	t.Helper()
	var buf bytes.Buffer
	gz := gzip.NewWriter(&buf)
	tw := tar.NewWriter(gz)
	for _, h := range headers {
		if err := tw.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(strings.Repeat("x", int(h.Size)))); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// genForeign draws tars with what our packer never writes: parents that are
// missing or come late, one path twice, names that are not clean, symlinks.
func genForeign() *rapid.Generator[[]tar.Header] {
	part := rapid.SampledFrom([]string{"a", "a", "b", "a-b", "é", ".", ".git", ".sourceignore"})
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) tar.Header {
		name := rapid.SampledFrom([]string{"", "./"}).Draw(t, "prefix") +
			strings.Join(rapid.SliceOfN(part, 1, 3).Draw(t, "parts"), rapid.SampledFrom([]string{"/", "/", "//"}).Draw(t, "separator"))
		switch rapid.IntRange(0, 9).Draw(t, "type") {
		case 0, 1, 2:
			return tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: rapid.SampledFrom([]int64{0o755, 0o700, 0o555, 0o2775}).Draw(t, "mode")}
		case 3:
			return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}
		default:
			mode := rapid.SampledFrom([]int64{0o644, 0o600, 0o755, 0o4755, 0o645}).Draw(t, "mode")
			return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: mode, Size: rapid.Int64Range(0, 9).Draw(t, "size")}
		}
	}), 0, 8)
}

// What Flux takes we take, with the same outcome; what it cannot unpack
// neither can we.
func TestStoredArtifactOfForeignLayers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		layer := packed(t, genForeign().Draw(t, "entries")...)
		spec := genSpec().Draw(t, "spec.ignore")
		flux, fluxErr := fluxStored(t, layer, spec)
		ours, ourErr := ourStored(layer, spec)
		if (fluxErr == nil) != (ourErr == nil) {
			t.Fatalf("%s\nFlux: %v\nours: %v", strings.Join(listing(layer), "\n"), fluxErr, ourErr)
		}
		if fluxErr == nil {
			equalBytes(t, "stored artifact", flux.content, ours.content)
		}
	})
}

// The whole list of entries that Flux and we judge differently, beside some on
// which both agree.
func TestRefusals(t *testing.T) {
	type verdict struct{ Flux, Ours bool } // taken
	file := tar.Header{Name: "a", Typeflag: tar.TypeReg, Mode: 0o644, Size: 1}
	for name, c := range map[string]struct {
		entries []tar.Header
		want    verdict
	}{
		"a hard link": {[]tar.Header{file, {Name: "l", Typeflag: tar.TypeLink, Linkname: "a"}}, verdict{true, false}},
		"a directory outside of the root": {
			[]tar.Header{{Name: "..", Typeflag: tar.TypeDir, Mode: 0o755}},
			verdict{true, false}, // Flux looks for "../" only; it makes nothing new there
		},
		"a way out and in again":      {[]tar.Header{{Name: "a/..", Typeflag: tar.TypeDir, Mode: 0o755}}, verdict{true, false}},
		"a name that is not UTF-8":    {[]tar.Header{{Name: "\xff", Typeflag: tar.TypeReg, Mode: 0o644}}, verdict{true, false}},
		"a name that ends in dots":    {[]tar.Header{{Name: "a../b", Typeflag: tar.TypeReg, Mode: 0o644}}, verdict{false, true}},
		"a path outside of the root":  {[]tar.Header{{Name: "../a", Typeflag: tar.TypeReg, Mode: 0o644}}, verdict{false, false}},
		"an absolute path":            {[]tar.Header{{Name: "/a", Typeflag: tar.TypeReg, Mode: 0o644}}, verdict{false, false}},
		"a backslash":                 {[]tar.Header{{Name: `a\b`, Typeflag: tar.TypeReg, Mode: 0o644}}, verdict{false, false}},
		"a device":                    {[]tar.Header{{Name: "null", Typeflag: tar.TypeChar, Mode: 0o666}}, verdict{false, false}},
		"a named pipe":                {[]tar.Header{{Name: "pipe", Typeflag: tar.TypeFifo, Mode: 0o666}}, verdict{false, false}},
		"a file where a directory is": {[]tar.Header{{Name: "a/", Typeflag: tar.TypeDir, Mode: 0o755}, file}, verdict{false, false}},
		"a directory where a file is": {[]tar.Header{file, {Name: "a/", Typeflag: tar.TypeDir, Mode: 0o755}}, verdict{false, false}},
		"a file below a file":         {[]tar.Header{file, {Name: "a/b", Typeflag: tar.TypeReg, Mode: 0o644}}, verdict{false, false}},
		"a file in place of the root": {[]tar.Header{{Name: ".", Typeflag: tar.TypeReg, Mode: 0o644}}, verdict{false, false}},
		"a path twice, then not to run": {
			[]tar.Header{{Name: "a", Typeflag: tar.TypeReg, Mode: 0o755, Size: 9}, file},
			verdict{true, true}, // the last content, the first mode
		},
		"a path twice, then to run": {
			[]tar.Header{file, {Name: "a", Typeflag: tar.TypeReg, Mode: 0o755, Size: 9}},
			verdict{true, true},
		},
		"a symlink":       {[]tar.Header{file, {Name: "l", Typeflag: tar.TypeSymlink, Linkname: "a"}}, verdict{true, true}},
		"no entry at all": {nil, verdict{true, true}},
	} {
		t.Run(name, func(t *testing.T) {
			layer := packed(t, c.entries...)
			flux, fluxErr := fluxStored(t, layer, nil)
			ours, ourErr := ourStored(layer, nil)
			if diff := cmp.Diff(c.want, verdict{fluxErr == nil, ourErr == nil}); diff != "" {
				t.Fatalf("%s\nFlux: %v\nours: %v", diff, fluxErr, ourErr)
			}
			if c.want.Flux && c.want.Ours {
				equalBytes(t, "stored artifact", flux.content, ours.content)
			}
		})
	}
}

// `git archive` begins with a global header, which Flux extracts as a file
// without any permission; only root can read it again.
func TestStoredArtifactOfGitArchive(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("Flux cannot read its own file unless it is root")
	}
	sameStored(t, packed(t,
		tar.Header{Name: "pax_global_header", Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "0123"}},
		tar.Header{Name: "a.yaml", Typeflag: tar.TypeReg, Mode: 0o664, Size: 5},
	), nil)
}

// A layer that is cut off anywhere is taken by neither, or by both alike.
func TestStoredArtifactOfDamagedLayers(t *testing.T) {
	whole := fluxLayer(t, onDisk(t, files(map[string]string{"a.yaml": "a", "b/c.yaml": strings.Repeat("c", 2000)})), nil)
	damaged := [][]byte{nil, []byte("no gzip"), slices.Concat(whole, []byte("tail")), slices.Concat(whole, whole)}
	for n := range len(whole) {
		damaged = append(damaged, whole[:n])
	}
	for i, layer := range damaged {
		flux, fluxErr := fluxStored(t, layer, nil)
		ours, ourErr := ourStored(layer, nil)
		if (fluxErr == nil) != (ourErr == nil) {
			t.Fatalf("damage %d (%d of %d bytes)\nFlux: %v\nours: %v", i, len(layer), len(whole), fluxErr, ourErr)
		}
		if fluxErr == nil {
			equalBytes(t, fmt.Sprintf("damage %d", i), flux.content, ours.content)
		}
	}
}
