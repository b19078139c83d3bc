package oracle

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	fluxoci "github.com/fluxcd/pkg/oci"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/internal/archive"
	"github.com/sluice-dev/sluice/internal/ignore"
	"github.com/sluice-dev/sluice/internal/publish"
)

// fluxLayer is what `flux push artifact` uploads for a directory.
func fluxLayer(t tester, dir string, rules []string) []byte {
	t.Helper()
	file := filepath.Join(tempDir(t), "layer.tgz")
	if err := fluxoci.NewClient(fluxoci.DefaultOptions()).Build(file, dir, rules); err != nil {
		t.Fatal(err)
	}
	layer, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return layer
}

// ourPackage is what `sluice push` uploads for a directory.
func ourPackage(t tester, dir string, rules []string, about publish.About) publish.Package {
	t.Helper()
	tree, err := archive.Load(os.DirFS(dir), ignore.ForPush(rules), archive.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	p, err := publish.Pack(tree, about)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// filteredLate is a layer whose rules are applied when it is written.
func filteredLate(t tester, dir string, rules []string) []byte {
	t.Helper()
	tree, err := archive.Load(os.DirFS(dir), nil, archive.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	var layer bytes.Buffer
	if err := archive.Write(&layer, tree, archive.KeepModes, ignore.ForPush(rules)); err != nil {
		t.Fatal(err)
	}
	return layer.Bytes()
}

func samePush(t tester, dir string, rules []string) {
	t.Helper()
	want := fluxLayer(t, dir, rules)
	equalBytes(t, "filtered when read", want, ourPackage(t, dir, rules, publish.About{Created: time.Unix(0, 0)}).Layer.Content)
	equalBytes(t, "filtered when written", want, filteredLate(t, dir, rules))
}

func TestPushedLayer(t *testing.T) {
	defaults := strings.Split(ignore.PushDefaults, ",")
	rapid.Check(t, func(t *rapid.T) {
		dir := onDisk(t, genTree().Draw(t, "tree"))
		rules := rapid.OneOf(rapid.Just(defaults), genRules()).Draw(t, "rules")
		samePush(t, dir, rules)
	})
}

// Each of these needs care that a generator may not hit.
func TestPushedLayerCases(t *testing.T) {
	dir := onDisk(t, files(map[string]string{
		"a": "", "a-b/x.yaml": "x", "a.b": "y", "b/keep/k.yaml": "k", "b/drop.yaml": "d", "c/deep/er/z.yaml": "z",
		strings.Repeat("d/", 60) + "deep.yaml": "beyond the name field of a header",
	}))
	for name, rules := range map[string][]string{
		"nothing is left out":              nil,
		"an empty rule":                    {""},
		"everything is left out":           {"*"},
		"a child of what is left out":      {"b", "!b/keep/k.yaml"},
		"a grandchild of what is left out": {"c/", "!z.yaml"},
		"all but one directory":            {"/*", "!/b"},
	} {
		t.Run(name, func(t *testing.T) { samePush(t, dir, rules) })
	}
}

func TestPushedLayerOfCorpus(t *testing.T) {
	for _, bundle := range corpus(t) {
		t.Run(filepath.ToSlash(bundle), func(t *testing.T) {
			samePush(t, bundle, nil)
			samePush(t, bundle, strings.Split(ignore.PushDefaults, ","))
		})
	}
}
