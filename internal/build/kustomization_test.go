package build_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/internal/build"
)

// Each archive in testdata/kustomization is a bundle with a Kustomization and
// the variables it reads. Its last file is what comes out, or "error: " and
// why not.
func TestBuild(t *testing.T) {
	files, err := filepath.Glob("testdata/kustomization/*.txtar")
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
			ks, values, bundle := parts(t, a.Files)
			cache := build.NewCache(1 << 20)
			got := described(cache.Build(bundle, ks, values, build.Options{Strict: true}))
			if again := described(cache.Build(bundle, ks, values, build.Options{Strict: true})); again != got {
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

func parts(t *testing.T, files []txtar.File) (*kustomizev1.Kustomization, build.Values, build.Bundle) {
	t.Helper()
	ks, values, fsys := &kustomizev1.Kustomization{}, build.Values{}, fstest.MapFS{}
	ks.Namespace, ks.Name = "team-a", "app"
	for _, f := range files {
		var err error
		switch f.Name {
		case "kustomization":
			err = yaml.UnmarshalStrict(f.Data, ks)
		case "values":
			err = yaml.UnmarshalStrict(f.Data, &values.Sources)
		case "want":
		default:
			fsys[f.Name] = &fstest.MapFile{Data: f.Data}
		}
		if err != nil {
			t.Fatal(f.Name, err)
		}
	}
	return ks, values, build.Bundle{FS: fsys, Digest: "sha256:1"}
}

// described is a result as a reader would note it down.
func described(r *build.Result, err error) string {
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	var b strings.Builder
	for _, p := range r.Patches {
		fmt.Fprintf(&b, "# patch %d: %d objects\n", p.Index, p.Objects)
	}
	for _, u := range r.Unknown {
		fmt.Fprintf(&b, "# unknown: %s %s\n", u.Object, u.Path)
	}
	for _, id := range r.Encrypted {
		fmt.Fprintf(&b, "# encrypted: %s\n", id)
	}
	if r.Empty {
		b.WriteString("# nothing found\n")
	}
	for i, u := range r.Objects {
		if i > 0 {
			b.WriteString("---\n")
		}
		text, err := yaml.Marshal(u.Object)
		if err != nil {
			return "error: " + err.Error()
		}
		b.Write(text)
	}
	return b.String()
}

func TestPaths(t *testing.T) {
	fsys := fstest.MapFS{"base/a.yaml": {}, "base/sub/kustomization.yaml": {Data: []byte("resources: []\n")}}
	try := func(path string) error {
		_, err := (*build.Cache)(nil).Build(build.Bundle{FS: fsys}, &kustomizev1.Kustomization{Spec: kustomizev1.KustomizationSpec{Path: path}}, build.Values{}, build.Options{})
		return err
	}
	// What leads out of the bundle ends at its root, as with Flux.
	for _, path := range []string{"", ".", "./", "/", "base", "./base", "/base/", "base//sub", "../base", "/../../base/sub"} {
		if err := try(path); err != nil {
			t.Errorf("%q: %v", path, err)
		}
	}
	for _, path := range []string{"missing", "base/a.yaml", "base/sub/x", "../.."[:2] + "x"} {
		if err := try(path); !errors.Is(err, build.ErrNoPath) {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// Values of Secrets are not in errors, wherever the text comes from.
func TestErrorsMaskSecrets(t *testing.T) {
	fsys := fstest.MapFS{"a.yaml": {Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: \"${n}\"}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: \"x${n}\"}\n")}}
	ks := &kustomizev1.Kustomization{Spec: kustomizev1.KustomizationSpec{PostBuild: &kustomizev1.PostBuild{Substitute: map[string]string{"n": "hunter2"}}}}
	fsys["b.yaml"] = &fstest.MapFile{Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: hunter2}\n")}
	values := build.Values{Sources: []build.Source{{Kind: "Secret", Name: "s", Data: map[string]string{"p": "hunter2", "q": "hunt", "r": ""}, Secret: true}}}
	_, err := new(build.Cache).Build(build.Bundle{FS: fsys}, ks, values, build.Options{})
	if err == nil || strings.Contains(err.Error(), "hunt") || !strings.Contains(err.Error(), "ConfigMap/*****") {
		t.Errorf("%v", err)
	}
	ks.Spec.PostBuild.Substitute["n"] = "other"
	result, err := new(build.Cache).Build(build.Bundle{FS: fsys}, ks, values, build.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"hunter2", "hunt"}, result.Secrets); diff != "" {
		t.Error(diff)
	}
}
