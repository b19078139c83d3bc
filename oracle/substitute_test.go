package oracle

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/internal/build"
)

// The directories, variables and Kustomizations of Flux's own tests, all with
// all.
func TestSubstitutesAsFluxTests(t *testing.T) {
	root := copyTree(t, filepath.Join(moduleDir(t, "github.com/fluxcd/pkg/kustomize"), "testdata"))
	values := build.Values{}
	for _, name := range []string{"configmap", "configmap_empty", "secret", "secret_empty"} {
		values.Sources = append(values.Sources, sourceFrom(t, filepath.Join(root, name+".yaml")))
	}
	var jobs []job
	for _, name := range []string{"varsub", "varsub_dummy", "varsub_empty", "varsub_novars", "varsub_with_secret"} {
		raw, err := os.ReadFile(filepath.Join(root, "kustomization_"+name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{"resources", "varsubstrict", "varsubstrictempty", "varsubalways"} {
			for _, strategy := range []kustomizev1.SubstituteStrategy{"", "WithVariables", "Always"} {
				for _, strict := range []bool{true, false} {
					ks := &kustomizev1.Kustomization{}
					if err := yaml.Unmarshal(raw, ks); err != nil {
						t.Fatal(err)
					}
					ks.Spec.Path = dir
					if ks.Spec.PostBuild != nil {
						ks.Spec.PostBuild.SubstituteStrategy = strategy
					} else if strategy == "Always" {
						ks.Spec.PostBuild = &kustomizev1.PostBuild{SubstituteStrategy: strategy}
					}
					jobs = append(jobs, job{name: name + "/" + dir, root: root, ks: ks, values: readBy(ks, values), strict: strict})
				}
			}
		}
	}
	compareAll(t, jobs)
}

// readBy are the sources that a Kustomization names, in its order.
func readBy(ks *kustomizev1.Kustomization, all build.Values) build.Values {
	var read build.Values
	if ks.Spec.PostBuild == nil {
		return read
	}
	for _, ref := range ks.Spec.PostBuild.SubstituteFrom {
		for _, s := range all.Sources {
			if s.Kind == ref.Kind && s.Name == ref.Name {
				read.Sources = append(read.Sources, s)
			}
		}
	}
	return read
}

func sourceFrom(t *testing.T, file string) build.Source {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var o struct {
		Kind       string
		Metadata   struct{ Name string }
		Data       map[string]string
		StringData map[string]string
	}
	if err := yaml.Unmarshal(raw, &o); err != nil {
		t.Fatal(err)
	}
	data := o.Data
	if data == nil {
		data = o.StringData
	}
	return build.Source{Kind: o.Kind, Name: o.Metadata.Name, Data: data, Secret: o.Kind == "Secret"}
}

// expression is a text and the variables for it.
type expression struct {
	input  string
	params map[string]string
}

// expressions are the tables of envsubst's tests.
func expressions(t *testing.T) []expression {
	t.Helper()
	file := filepath.Join(moduleDir(t, "github.com/fluxcd/pkg/envsubst"), "eval_test.go")
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []expression
	ast.Inspect(parsed, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		e := expression{params: map[string]string{}}
		for _, element := range lit.Elts {
			kv, ok := element.(*ast.KeyValueExpr)
			if !ok {
				continue
			}
			key, _ := kv.Key.(*ast.Ident)
			switch v := kv.Value.(type) {
			case *ast.BasicLit:
				if key != nil && key.Name == "input" {
					e.input, _ = strconv.Unquote(v.Value)
				}
			case *ast.CompositeLit:
				for _, pair := range v.Elts {
					if p, ok := pair.(*ast.KeyValueExpr); ok && key != nil && key.Name == "params" {
						name, _ := strconv.Unquote(p.Key.(*ast.BasicLit).Value)
						e.params[name], _ = strconv.Unquote(p.Value.(*ast.BasicLit).Value)
					}
				}
			}
		}
		if e.input != "" {
			found = append(found, e)
		}
		return true
	})
	if len(found) < 40 {
		t.Fatalf("only %d expressions in %s", len(found), file)
	}
	return found
}

func TestSubstitutesTheTablesOfEnvsubst(t *testing.T) {
	var jobs []job
	for i, e := range expressions(t) {
		for _, strict := range []bool{true, false} {
			jobs = append(jobs, substitution(t, map[string]string{"text": e.input}, "", e.params, strict))
			jobs[len(jobs)-1].name = strconv.Itoa(i) + " " + e.input
		}
	}
	compareAll(t, jobs)
}

// substitution is a ConfigMap with data, and variables for it.
func substitution(t testing.TB, data map[string]string, label string, inline map[string]string, strict bool) job {
	t.Helper()
	cm := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "a", "labels": map[string]any{"kustomize.toolkit.fluxcd.io/substitute": label}}, "data": data}
	raw, err := yaml.Marshal(cm)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "a.yaml"), raw, 0o644); err != nil {
		t.Fatal(err)
	}
	ks := plainKustomization("")
	ks.Spec.PostBuild = &kustomizev1.PostBuild{Substitute: inline}
	return job{name: string(raw), root: root, ks: ks, strict: strict}
}

// Whatever text meets whatever values: the same objects or two refusals. The
// secret is never in what we say.
func TestSubstitutesAsFluxByChance(t *testing.T) {
	pieces := rapid.SampledFrom([]string{
		"${a}", "${b}", "${c:=d}", "${a:-x}", "${missing}", "${a^^}", "${#a}", "${a:1}", "${a:9:2}", "${a/x/y}", "${b//-/}", "${a##*/}", "${a%.*}",
		"$a", "$${a}", "$$", "${", "}", "text", "\n", ": ", "'", "\"", "#", "é", "${c=${a}}", "0", "1e3", "true", "- x",
	})
	texts := rapid.SliceOfN(pieces, 0, 5)
	words := rapid.SampledFrom([]string{"", "v", "1", "007", "1e3", "true", "null", "a: b", "[", "\"q\"", "x/y.z", "two\nlines", "  ", "é", "${a}", "s3cr3t-: {", "12345678901234567890", "0.10"})
	rapid.Check(t, func(rt *rapid.T) {
		data := map[string]string{}
		for _, key := range []string{"k", "l"} {
			data[key] = strings.Join(texts.Draw(rt, "text"), "")
		}
		draw := func(label string) map[string]string {
			m := rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "c", "_d", "bad-name"}), words, 0, 3).Draw(rt, label)
			if rapid.IntRange(0, 4).Draw(rt, "allow bad names") > 0 {
				delete(m, "bad-name")
			}
			return m
		}
		label := rapid.SampledFrom([]string{"", "", "disabled", "Disabled", "enabled"}).Draw(rt, "label")
		j := substitution(t, data, label, draw("inline"), rapid.Bool().Draw(rt, "strict"))
		defer func() { _ = os.RemoveAll(j.root) }()
		j.ks.Spec.PostBuild.SubstituteStrategy = rapid.SampledFrom([]kustomizev1.SubstituteStrategy{"", "Always"}).Draw(rt, "strategy")
		for _, kind := range []string{"ConfigMap", "Secret"} {
			j.ks.Spec.PostBuild.SubstituteFrom = append(j.ks.Spec.PostBuild.SubstituteFrom, kustomizev1.SubstituteReference{Kind: kind, Name: "v"})
			j.values.Sources = append(j.values.Sources, build.Source{Kind: kind, Name: "v", Data: draw(kind), Secret: kind == "Secret"})
		}
		openapi.Schema()
		ours, result := j.ours(nil)
		compare(asTB{t, rt}, j, ours, j.flux(t))
		secret := slices.Collect(maps.Values(j.values.Sources[1].Data))
		if ours.err != nil && slices.Contains(secret, "s3cr3t-: {") && strings.Contains(ours.err.Error(), "s3cr") {
			rt.Fatalf("the error shows a secret: %v", ours.err)
		}
		for _, value := range secret {
			if ours.err == nil && value != "" && !slices.Contains(result.Secrets, value) {
				rt.Fatalf("%q is not among the values to mask", value)
			}
		}
	})
}
