package cli

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra/doc"
)

var update = flag.Bool("update", false, "write docs/cli anew")

// TestDocs keeps docs/cli equal to the commands.
func TestDocs(t *testing.T) {
	root := newRoot(IO{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}, Getenv: func(string) string { return "" }})
	root.DisableAutoGenTag = true
	root.InitDefaultCompletionCmd()
	fresh := t.TempDir()
	if err := doc.GenMarkdownTree(root, fresh); err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join("..", "..", "docs", "cli")
	if *update {
		if err := os.RemoveAll(kept); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(kept, os.DirFS(fresh)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(pages(t, fresh), pages(t, kept)); diff != "" {
		t.Errorf("docs/cli is not what the commands say; run `make generate` (-want +got):\n%s", diff)
	}
}

func pages(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found[filepath.Base(file)] = string(raw)
	}
	return found
}
