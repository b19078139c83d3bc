package ignore

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/internal/archive"
)

func tree(t *testing.T, files map[string]string) *archive.Tree {
	t.Helper()
	var list []archive.File
	for name, text := range files {
		list = append(list, archive.File{Path: name, Mode: 0o644, Data: []byte(text)})
	}
	built, err := archive.NewTree(list)
	if err != nil {
		t.Fatal(err)
	}
	return built
}

// kept packs with the rules and lists what is in the archive: the path that
// the rules take in production.
func kept(t *testing.T, tr *archive.Tree, skip archive.Skip) []string {
	t.Helper()
	var buf bytes.Buffer
	if err := archive.Write(&buf, tr, archive.NormalModes, skip); err != nil {
		t.Fatal(err)
	}
	got, err := archive.Read(&buf, archive.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	return got.Files()
}

func TestForSource(t *testing.T) {
	files := map[string]string{
		".gitignore": "x", "a.yaml": "a", "logo.png": "p", ".github/w.yaml": "w", "sub/.sops.yaml": "s", "sub/b.yaml": "b",
	}
	all := func(extra map[string]string) *archive.Tree {
		merged := map[string]string{}
		for k, v := range files {
			merged[k] = v
		}
		for k, v := range extra {
			merged[k] = v
		}
		return tree(t, merged)
	}
	text := func(s string) *string { return &s }
	for _, c := range []struct {
		name  string
		extra map[string]string
		spec  *string
		want  []string
	}{
		{"built-in rules", nil, nil, []string{"a.yaml", "sub/b.yaml"}},
		{"spec shrinks them to version control", nil, text("sub/"), []string{".github/w.yaml", "a.yaml", "logo.png"}},
		{"an empty spec says nothing", nil, text(""), []string{"a.yaml", "sub/b.yaml"}},
		{
			"a file in a directory holds below it", map[string]string{"sub/.sourceignore": "*.yaml\n"}, nil,
			[]string{".github/w.yaml", "a.yaml", "logo.png", "sub/.sourceignore"},
		},
		{
			"spec wins over files", map[string]string{".sourceignore": "*.yaml\n# comment\n"}, text("!a.yaml"),
			[]string{".sourceignore", "a.yaml", "logo.png"},
		},
		{"a negated child of an ignored directory reappears", nil, text("/*\n!/sub"), []string{"sub/.sops.yaml", "sub/b.yaml"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := all(c.extra)
			skip, err := ForSource(tr, c.spec)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, kept(t, tr, skip)); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func TestForPush(t *testing.T) {
	tr := tree(t, map[string]string{".git/config": "g", "a.yaml": "a", "b.jpg": "b", "c/d.yaml": "d"})
	if diff := cmp.Diff([]string{"a.yaml", "c/d.yaml"}, kept(t, tr, ForPush([]string{PushDefaults}))); diff != "" {
		t.Fatal(diff)
	}
	if diff := cmp.Diff([]string{".git/config", "a.yaml", "b.jpg"}, kept(t, tr, ForPush([]string{"c/"}))); diff != "" {
		t.Fatal(diff)
	}
}
