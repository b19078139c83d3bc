package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// packed makes a tar.gz of raw headers, as an attacker could.
func packed(t testing.TB, entries ...tar.Header) []byte {
	t.Helper()
	var buf bytes.Buffer
	gz := gzip.NewWriter(&buf)
	tw := tar.NewWriter(gz)
	for _, h := range entries {
		body := strings.Repeat("x", int(h.Size))
		if err := tw.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(body)); err != nil {
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

func sample(t testing.TB) *Tree {
	t.Helper()
	tree, err := NewTree([]File{
		{Path: "base/kustomization.yaml", Mode: 0o644, Data: []byte("resources: [a.yaml]\n")},
		{Path: "base/a.yaml", Mode: 0o600, Data: []byte("kind: A\n")},
		{Path: "base-2/run.sh", Mode: 0o755, Data: []byte("#!/bin/sh\n")},
		{Path: "top.yaml", Mode: 0o640, Data: nil},
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestTreeIsAFileSystem(t *testing.T) {
	if err := fstest.TestFS(sample(t), "base/kustomization.yaml", "base/a.yaml", "base-2/run.sh", "top.yaml"); err != nil {
		t.Fatal(err)
	}
}

func TestTreeCannotBeChangedThroughItsAnswers(t *testing.T) {
	tree := sample(t)
	data, err := tree.ReadFile("base/a.yaml")
	if err != nil {
		t.Fatal(err)
	}
	data[0] = '!'
	again, _ := tree.ReadFile("base/a.yaml")
	if string(again) != "kind: A\n" {
		t.Fatalf("a caller's write reached the tree: %q", again)
	}
	changed, err := tree.With("base/a.yaml", []byte("kind: B\n"))
	if err != nil {
		t.Fatal(err)
	}
	before, _ := tree.ReadFile("base/a.yaml")
	after, _ := changed.ReadFile("base/a.yaml")
	if string(before) != "kind: A\n" || string(after) != "kind: B\n" {
		t.Fatalf("With: the old tree has %q, the new one %q", before, after)
	}
}

// Whatever is packed comes back, and packing it again gives the same bytes.
func TestRoundTripIsByteStable(t *testing.T) {
	for _, modes := range []Modes{KeepModes, NormalModes} {
		var first, second bytes.Buffer
		if err := Write(&first, sample(t), modes, nil); err != nil {
			t.Fatal(err)
		}
		tree, err := Read(bytes.NewReader(first.Bytes()), DefaultLimits)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sample(t).Files(), tree.Files()); diff != "" {
			t.Fatal(diff)
		}
		if err := Write(&second, tree, modes, nil); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Fatalf("modes %d: the second packing differs", modes)
		}
	}
}

func TestReadRefusesWhatIsUnsafe(t *testing.T) {
	for name, c := range map[string]struct {
		entry tar.Header
		want  string
	}{
		"parent":    {tar.Header{Name: "../x", Typeflag: tar.TypeReg}, "leaves the archive"},
		"inner":     {tar.Header{Name: "a/../../x", Typeflag: tar.TypeReg}, "leaves the archive"},
		"last":      {tar.Header{Name: "a/..", Typeflag: tar.TypeDir}, "leaves the archive"},
		"absolute":  {tar.Header{Name: "/etc/passwd", Typeflag: tar.TypeReg}, "absolute"},
		"backslash": {tar.Header{Name: `a\b`, Typeflag: tar.TypeReg}, "backslash"},
		"hard link": {tar.Header{Name: "a", Linkname: "b", Typeflag: tar.TypeLink}, "hard link"},
		"device":    {tar.Header{Name: "a", Typeflag: tar.TypeChar}, "device"},
		"fifo":      {tar.Header{Name: "a", Typeflag: tar.TypeFifo}, "named pipe"},
	} {
		_, err := Read(bytes.NewReader(packed(t, c.entry)), DefaultLimits)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "unsafe tar entry") {
			t.Errorf("%s: %v; want an unsafe entry: %s", name, err, c.want)
		}
	}
	if _, err := Read(strings.NewReader("kind: Deployment"), DefaultLimits); err == nil || !strings.Contains(err.Error(), "no gzipped tar") {
		t.Errorf("plain text: %v", err)
	}
}

func TestReadDropsSymlinks(t *testing.T) {
	tree, err := Read(bytes.NewReader(packed(t,
		tar.Header{Name: "link", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink},
		tar.Header{Name: "link/below.yaml", Typeflag: tar.TypeReg, Size: 3, Mode: 0o600},
	)), DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"link/below.yaml"}, tree.Files()); diff != "" {
		t.Fatal(diff)
	}
}

func TestReadIsBounded(t *testing.T) {
	big := packed(t, tar.Header{Name: "a", Typeflag: tar.TypeReg, Size: 600}, tar.Header{Name: "b", Typeflag: tar.TypeReg, Size: 600})
	if _, err := Read(bytes.NewReader(big), Limits{Bytes: 1000, Entries: 10}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("1200 bytes against a limit of 1000: %v", err)
	}
	if _, err := Read(bytes.NewReader(big), Limits{Bytes: 2000, Entries: 1}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("2 entries against a limit of 1: %v", err)
	}
	if _, err := Read(bytes.NewReader(big), Limits{Bytes: 1200, Entries: 2}); err != nil {
		t.Errorf("exactly the limit: %v", err)
	}
	if _, err := Read(bytes.NewReader(big[:len(big)/2]), DefaultLimits); err == nil {
		t.Error("a stream cut half-way was accepted")
	}
}

func TestLoadTakesOnlyFilesAndDirectories(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.yaml": "a", "sub/b.yaml": "b"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("a.yaml", filepath.Join(dir, "link.yaml")); err != nil {
		t.Fatal(err)
	}
	tree, err := Load(os.DirFS(dir), nil, DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a.yaml", "sub/b.yaml"}, tree.Files()); diff != "" {
		t.Fatal(diff)
	}
	if _, err := Load(os.DirFS(dir), nil, Limits{Bytes: 1, Entries: 10}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("over the limit: %v", err)
	}
}

// FuzzRead: no input makes Read panic, exceed its limits or produce a path
// that leaves the root; what it accepts is a sound file system.
func FuzzRead(f *testing.F) {
	var good bytes.Buffer
	if err := Write(&good, sample(f), KeepModes, nil); err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes())
	f.Add(packed(f, tar.Header{Name: "../x", Typeflag: tar.TypeReg}))
	f.Add(packed(f, tar.Header{Name: "a", Typeflag: tar.TypeReg, Size: 3}, tar.Header{Name: "a/b", Typeflag: tar.TypeReg}))
	f.Add(packed(f, tar.Header{Name: "./a//b/.", Typeflag: tar.TypeDir}))
	f.Fuzz(func(t *testing.T, data []byte) {
		tree, err := Read(bytes.NewReader(data), Limits{Bytes: 1 << 16, Entries: 100})
		if err != nil {
			return
		}
		if tree.Bytes() > 1<<16 {
			t.Fatalf("%d bytes passed a limit of %d", tree.Bytes(), 1<<16)
		}
		err = fs.WalkDir(tree, ".", func(p string, d fs.DirEntry, err error) error {
			if !fs.ValidPath(p) {
				t.Fatalf("path %q in the tree", p)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
