package build_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/internal/build"
)

// Whatever expressions a bundle has: no panic, no part of a secret in an
// error, and the same again.
func FuzzSubstitute(f *testing.F) {
	for _, text := range []string{"${a}", "x: ${a}", "${a:1:-1}", "${a:99999999999999999999}", "${a/[/}", "${a##*}", "${", "$${a}", "${a:=${b:-c}}", "\"${a}"} {
		f.Add(text, "hunter2: [\n")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		doc, err := yaml.Marshal(map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "a"}, "data": map[string]any{"x": text}})
		if err != nil {
			t.Skip()
		}
		bundle := build.Bundle{FS: fstest.MapFS{"a.yaml": {Data: doc}}}
		secret := "verysecret" + value
		values := build.Values{Sources: []build.Source{{Kind: "Secret", Name: "s", Data: map[string]string{"a": secret}, Secret: true}}}
		run := func() string {
			return described(new(build.Cache).Build(bundle, named("a"), values, build.Options{Strict: true}))
		}
		got := run()
		if strings.HasPrefix(got, "error") && strings.Contains(got, "verysecret") && !strings.Contains(text, "verysecret") {
			t.Errorf("the error shows the secret: %s", got)
		}
		if again := run(); again != got {
			t.Errorf("then %s\nnow %s", got, again)
		}
	})
}
