package publish_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sluice-dev/sluice/internal/archive"
	"github.com/sluice-dev/sluice/internal/publish"
)

const digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

func TestParseImage(t *testing.T) {
	for text, want := range map[string]publish.Image{
		"app=:v1":                           {Name: "app", NewTag: "v1"},
		"ghcr.io/org/app=:1.10":             {Name: "ghcr.io/org/app", NewTag: "1.10"},
		"app=ghcr.io/org/app:v1":            {Name: "app", NewName: "ghcr.io/org/app", NewTag: "v1"},
		"app=localhost:5000/app":            {Name: "app", NewName: "localhost:5000/app"},
		"app=localhost:5000/app:v1":         {Name: "app", NewName: "localhost:5000/app", NewTag: "v1"},
		"localhost:5000/app=:v1":            {Name: "localhost:5000/app", NewTag: "v1"},
		"app=alpine":                        {Name: "app", NewName: "alpine"},
		"app=@" + digestA:                   {Name: "app", Digest: digestA},
		"app=ghcr.io/org/app@" + digestA:    {Name: "app", NewName: "ghcr.io/org/app", Digest: digestA},
		"app=localhost:5000/app@" + digestA: {Name: "app", NewName: "localhost:5000/app", Digest: digestA},
	} {
		got, err := publish.ParseImage(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(publish.Image{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestParseImageSaysWhy(t *testing.T) {
	for text, why := range map[string]string{
		"":                       "want NAME=REF",
		"app":                    "want NAME=REF",
		"app:v1":                 "want NAME=REF",
		"=:v1":                   "want NAME=REF",
		"app=":                   "want NAME=REF",
		"app=:":                  "the tag is empty",
		"app=name:":              "the tag is empty",
		"app=:v1+2":              "is no tag",
		"app=@sha256:abc":        "is no digest",
		"app=@":                  "is no digest",
		"app=:v1@" + digestA:     "one of them is enough",
		"app:v1=:v2":             "must have no tag",
		"app@" + digestA + "=:v": "must have no tag and no digest",
		// The colon that everybody forgets once: kustomize would rename the image.
		"app=v1.2.3":    "to set its tag write app=:v1.2.3",
		"app=1.10":      "to set its tag write app=:1.10",
		"app=v1.2-rc.1": "to set its tag write app=:v1.2-rc.1",
	} {
		if _, err := publish.ParseImage(text); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v; want %q", text, err, why)
		}
	}
}

// Each archive in testdata/image holds pins in its comment, one to a line, the
// file "in", and "want": the file afterwards or, after "error: ", why not.
func TestSetImages(t *testing.T) {
	files, err := filepath.Glob("testdata/image/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := set(t, a)
			if *update {
				a.Files[1].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(string(a.Files[1].Data), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func set(t *testing.T, a *txtar.Archive) string {
	t.Helper()
	before := tree(t, map[string]string{"base/kustomization.yaml": string(a.Files[0].Data), "base/other.yaml": "x: y\n"})
	var pins []publish.Image
	for line := range strings.Lines(string(a.Comment)) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		pin, err := publish.ParseImage(line)
		if err != nil {
			t.Fatal(err)
		}
		pins = append(pins, pin)
	}
	after, err := publish.SetImages(before, "./base/", pins)
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	if diff := cmp.Diff(before.Files(), after.Files()); diff != "" {
		t.Errorf("other files (-before +after):\n%s", diff)
	}
	text, err := after.ReadFile("base/kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if untouched, _ := before.ReadFile("base/kustomization.yaml"); string(untouched) != string(a.Files[0].Data) {
		t.Error("the tree that was given changed")
	}
	return string(text)
}

func TestSetImagesWhereThereIsNoFile(t *testing.T) {
	bundle := tree(t, map[string]string{"base/deployment.yaml": "kind: Deployment\n"})
	pin, err := publish.ParseImage("app=:v1")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"base", ".", "", "missing", "../base", "/base"} {
		if _, err := publish.SetImages(bundle, dir, []publish.Image{pin}); !cmp.Equal(err, publish.ErrNoKustomization, cmpopts.EquateErrors()) {
			t.Errorf("%q: %v", dir, err)
		}
	}
	if same, err := publish.SetImages(bundle, "missing", nil); err != nil || same != bundle {
		t.Errorf("no pins: %v, %v", same, err)
	}
}

func tree(t testing.TB, files map[string]string) *archive.Tree {
	t.Helper()
	var list []archive.File
	for p, text := range files { // in any order: a tree has its own
		list = append(list, archive.File{Path: p, Mode: 0o644, Data: []byte(text)})
	}
	made, err := archive.NewTree(list)
	if err != nil {
		t.Fatal(err)
	}
	return made
}
