package build_test

import (
	"bytes"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sluice-dev/sluice/internal/build"
)

var update = flag.Bool("update", false, "write the goldens")

// Each archive in testdata is a bundle. Its last file is what comes out of
// building the directory "base": objects, or "error: " and why not.
func TestRun(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			last := &a.Files[len(a.Files)-1]
			if last.Name != "want" {
				t.Fatalf("the last file is %s, not want", last.Name)
			}
			fsys := bundle(a.Files[:len(a.Files)-1])
			got := run(fsys, "base")
			if again := run(fsys, "/base/"); again != got {
				t.Errorf("built again (-first +second):\n%s", cmp.Diff(got, again))
			}
			if *update {
				last.Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(string(last.Data), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func bundle(files []txtar.File) fs.FS {
	fsys := fstest.MapFS{}
	for _, f := range files {
		fsys[f.Name] = &fstest.MapFile{Data: f.Data}
	}
	return fsys
}

func run(fsys fs.FS, dir string) string {
	objects, err := build.Run(fsys, dir)
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	text, err := objects.AsYaml()
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	return string(text)
}

func TestNoPath(t *testing.T) {
	fsys := fstest.MapFS{"base/a.yaml": {}}
	for _, dir := range []string{"missing", "base/a.yaml", "../base", "base/../../base"} {
		if _, err := build.Run(fsys, dir); !errors.Is(err, build.ErrNoPath) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	for _, dir := range []string{"", ".", "/", "base", "./base", "/base/"} {
		if _, err := build.Run(fsys, dir); err != nil {
			t.Errorf("%q: %v", dir, err)
		}
	}
}

func TestEmptyDirectoryBuildsNothing(t *testing.T) {
	fsys := fstest.MapFS{"base": {Mode: fs.ModeDir | 0o755}, "base/README.md": {Data: []byte("nothing to apply")}}
	objects, err := build.Run(fsys, "base")
	if err != nil || objects.Size() != 0 {
		t.Errorf("%v, %v", objects, err)
	}
}

// A build reads the bundle only: the same tree builds again and again.
func TestRunLeavesTheBundleAlone(t *testing.T) {
	fsys := fstest.MapFS{"base/a.yaml": {Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")}}
	run(fsys, "base")
	if len(fsys) != 1 {
		t.Errorf("the build left %v", fsys)
	}
}

// The schema of kustomize is one per process. A bundle that brings its own
// must not change how others are built at the same time.
func TestOwnSchemaDoesNotLeak(t *testing.T) {
	a, err := txtar.ParseFile("testdata/own-schema.txtar")
	if err != nil {
		t.Fatal(err)
	}
	own, without := fstest.MapFS{}, fstest.MapFS{}
	for _, f := range a.Files[:len(a.Files)-1] {
		own[f.Name] = &fstest.MapFile{Data: f.Data}
		if data, _, found := bytes.Cut(f.Data, []byte("openapi:")); found {
			f.Data = data
		}
		without[f.Name] = &fstest.MapFile{Data: f.Data}
	}
	merged, replaced := run(own, "base"), run(without, "base")
	if merged == replaced || strings.HasPrefix(merged+replaced, "error") {
		t.Fatalf("the schema makes no difference:\n%s\n%s", merged, replaced)
	}
	var builds sync.WaitGroup
	for i := range 32 {
		builds.Go(func() {
			fsys, want := fs.FS(own), merged
			if i%2 == 0 {
				fsys, want = without, replaced
			}
			if got := run(fsys, "base"); got != want {
				t.Errorf("built among others (-alone +among):\n%s", cmp.Diff(want, got))
			}
		})
	}
	builds.Wait()
}
