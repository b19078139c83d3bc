package oracle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// tester is what a test and one check of a property have in common.
type tester interface {
	rapid.TB
	Cleanup(func())
}

// entry is one entry of a directory tree on disk.
type entry struct {
	path string      // with slashes, relative to the root
	mode fs.FileMode // with type bits
	data string      // content of a file, target of a symlink
}

// names hold what sorts differently by text and by path component, what the
// built-in rules leave out, and what tar can only write with extensions.
var names = []string{
	"a", "a-b", "a.b", "a0", "A", "b", "b c", "é", "e\u0301", "日本語", strings.Repeat("long", 30),
	"kustomization.yaml", "run.sh", "logo.png", "x.tar.gz",
	".git", ".gitignore", ".github", ".sops.yaml", ".sourceignore",
}

var (
	fileModes = []fs.FileMode{0o644, 0o600, 0o640, 0o664, 0o755, 0o700, 0o744, 0o711, 0o777, 0o444, 0o654, 0o645, 0o755 | fs.ModeSetuid}
	dirModes  = []fs.FileMode{0o755, 0o700, 0o750, 0o775, 0o777 | fs.ModeSticky, 0o775 | fs.ModeSetgid}
)

// genTree draws a directory tree, parents before children; the first entry is
// the root.
func genTree() *rapid.Generator[[]entry] {
	return rapid.Custom(func(t *rapid.T) []entry {
		tree := []entry{{path: ".", mode: fs.ModeDir | rapid.SampledFrom(dirModes).Draw(t, "root mode")}}
		drawChildren(t, ".", 3, &tree)
		return tree
	})
}

func drawChildren(t *rapid.T, dir string, depth int, tree *[]entry) {
	kinds := []fs.FileMode{0, 0, 0, fs.ModeDir, fs.ModeDir, fs.ModeSymlink}
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 5, rapid.ID).Draw(t, "names") {
		e := entry{path: path.Join(dir, name), mode: rapid.SampledFrom(kinds).Draw(t, "kind")}
		switch {
		case e.mode.IsDir() && depth > 0:
			e.mode |= rapid.SampledFrom(dirModes).Draw(t, "mode")
			*tree = append(*tree, e)
			drawChildren(t, e.path, depth-1, tree)
			continue
		case e.mode == fs.ModeSymlink:
			e.data = rapid.SampledFrom([]string{"a", "../b", "/nowhere"}).Draw(t, "target")
		case name == ".sourceignore":
			e.mode, e.data = 0o644, strings.Join(genRules().Draw(t, "rules"), "\n")
		default:
			e.mode = rapid.SampledFrom(fileModes).Draw(t, "mode")
			e.data = drawContent(t)
		}
		*tree = append(*tree, e)
	}
}

// drawContent is mostly short; sometimes it fills more than one window of the
// compressor, in parts that compress and parts that do not.
func drawContent(t *rapid.T) string {
	if rapid.IntRange(0, 19).Draw(t, "size class") > 0 {
		return rapid.StringN(0, 40, -1).Draw(t, "content")
	}
	size := rapid.IntRange(60_000, 200_000).Draw(t, "size")
	random := rand.New(rand.NewPCG(uint64(size), 1))
	var b strings.Builder
	for b.Len() < size {
		if random.IntN(2) == 0 {
			b.WriteString(strings.Repeat("kind: ConfigMap\n", random.IntN(200)))
			continue
		}
		for range random.IntN(3000) {
			b.WriteByte(byte(random.Uint32()))
		}
	}
	return b.String()
}

// genRules draws lines in the format of .gitignore, about the names above.
func genRules() *rapid.Generator[[]string] {
	fixed := rapid.SampledFrom([]string{
		"*", "/*", "*/", "**", "**/a", "a/**", "a/**/b", "a**b", "*.png", "*.yaml", "/é", "[ab]", "[", "?", "!*", "!*/", "!*.yaml",
		"# a", "#", "", "  ", "!", "/", "!/", "//", "\\!a", "a ", "a\\ ", "a\r", "é*", "b c", ".git", "!.git/", "!.gitignore", "!.github", "!/.sops.yaml", "!logo.png",
	})
	made := rapid.Custom(func(t *rapid.T) string {
		parts := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "a-b", "a.b", "A", "b", "é", "*", "a*", ".sourceignore"}), 1, 3).Draw(t, "parts")
		one := func(label string, choices ...string) string { return rapid.SampledFrom(choices).Draw(t, label) }
		return one("negation", "", "!") + one("anchor", "", "/", "**/") + strings.Join(parts, "/") + one("tail", "", "", "/", "/*", "/**")
	})
	return rapid.SliceOfN(rapid.OneOf(fixed, made, made), 0, 6)
}

// tempDir makes a directory that lives as long as the test or check.
func tempDir(t tester) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "oracle-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// onDisk writes a tree with exactly its modes, whatever the umask.
func onDisk(t tester, tree []entry) string {
	t.Helper()
	root := filepath.Join(tempDir(t), "tree") // Flux puts temporary files beside what it packs
	for _, e := range tree {
		name := filepath.Join(root, filepath.FromSlash(e.path))
		var err error
		switch {
		case e.mode.IsDir():
			err = os.Mkdir(name, 0o700)
		case e.mode.IsRegular():
			err = os.WriteFile(name, []byte(e.data), 0o600)
		default:
			err = os.Symlink(e.data, name)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range slices.Backward(tree) {
		if e.mode&fs.ModeSymlink != 0 {
			continue
		}
		if err := os.Chmod(filepath.Join(root, filepath.FromSlash(e.path)), e.mode); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// files makes a tree of plain files.
func files(contents map[string]string) []entry {
	tree := []entry{{path: ".", mode: fs.ModeDir | 0o755}}
	made := map[string]bool{".": true}
	var parents func(dir string)
	parents = func(dir string) {
		if !made[dir] {
			parents(path.Dir(dir))
			made[dir] = true
			tree = append(tree, entry{path: dir, mode: fs.ModeDir | 0o755})
		}
	}
	for name, text := range contents {
		parents(path.Dir(name))
		tree = append(tree, entry{path: name, mode: 0o644, data: text})
	}
	return tree
}

// contents is what a consumer sees of a file system: directories, and files
// with their content and whether they can be run.
func contents(t tester, fsys fs.FS) map[string]string {
	t.Helper()
	seen := map[string]string{}
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			seen[p] = "directory"
			return nil
		case !d.Type().IsRegular():
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		data, err := fs.ReadFile(fsys, p)
		seen[p] = fmt.Sprintf("run %t: %q", info.Mode()&0o100 != 0, data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

// equalBytes fails with the entries that differ, or says that only the
// encoding does.
func equalBytes(t tester, what string, flux, ours []byte) {
	t.Helper()
	if bytes.Equal(flux, ours) {
		return
	}
	if diff := cmp.Diff(listing(flux), listing(ours)); diff != "" {
		t.Fatalf("%s: the archives differ (-Flux +ours):\n%s", what, diff)
	}
	t.Fatalf("%s: equal entries in %d bytes of Flux and %d of ours", what, len(flux), len(ours))
}

// listing describes every header and body of a gzipped tar.
func listing(data []byte) []string {
	gz, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return []string{err.Error()}
	}
	var lines []string
	for tr := tar.NewReader(gz); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return lines
		}
		if err != nil {
			return append(lines, err.Error())
		}
		body := sha256.New()
		if _, err := io.Copy(body, tr); err != nil {
			return append(lines, err.Error())
		}
		lines = append(lines, fmt.Sprintf("%q type %c mode %o size %d sum %.6x owner %d:%d %q:%q time %d pax %v",
			h.Name, h.Typeflag, h.Mode, h.Size, body.Sum(nil), h.Uid, h.Gid, h.Uname, h.Gname, h.ModTime.Unix(), h.PAXRecords))
	}
}

// corpus lists the bundles below SLUICE_CORPUS: of each repository the
// directory config if it has one, else the whole repository.
func corpus(t *testing.T) []string {
	t.Helper()
	root := os.Getenv("SLUICE_CORPUS")
	repos, err := os.ReadDir(root)
	if root == "" || err != nil {
		t.Logf("NO CORPUS: the environment variable SLUICE_CORPUS is %q (%v); only generated trees are compared", root, err)
		return nil
	}
	var bundles []string
	for _, repo := range repos {
		if !repo.IsDir() {
			continue
		}
		bundle := filepath.Join(root, repo.Name())
		if info, err := os.Stat(filepath.Join(bundle, "config")); err == nil && info.IsDir() {
			bundle = filepath.Join(bundle, "config")
		}
		bundles = append(bundles, bundle)
	}
	if len(bundles) == 0 {
		t.Logf("NO CORPUS: %s holds no directory; only generated trees are compared", root)
	}
	return bundles
}
