package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/sluice-dev/sluice/"
)

// room is a package as the source and ARCHITECTURE.md have it.
type room struct {
	dir     string // "internal/version"
	imports map[string][]string
	files   []*ast.File
	named   map[*ast.File]string
}

// rooms parses every package below internal and cmd.
func rooms(t *testing.T) map[string]*room {
	t.Helper()
	found := map[string]*room{}
	for _, top := range []string{"internal", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") || strings.Contains(p, "testdata") {
				return err
			}
			rel, err := filepath.Rel(root, p)
			if err != nil {
				return err
			}
			rel = filepath.ToSlash(rel)
			file, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ParseComments)
			if err != nil {
				return err
			}
			dir := path.Dir(rel)
			r := found[dir]
			if r == nil {
				r = &room{dir: dir, imports: map[string][]string{}, named: map[*ast.File]string{}}
				found[dir] = r
			}
			r.files = append(r.files, file)
			r.named[file] = rel
			for _, i := range file.Imports {
				name := strings.Trim(i.Path.Value, `"`)
				r.imports[name] = append(r.imports[name], rel)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

var row = regexp.MustCompile("(?m)^\\| `(internal/[^`]+)` \\| (noun|core|flow|edge|shell|test) \\|")

// rings reads the table of ARCHITECTURE.md.
func rings(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	table := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		table[m[1]] = m[2]
	}
	return table
}

func TestArchitectureListsEveryRoom(t *testing.T) {
	table := rings(t)
	found := rooms(t)
	for dir := range found {
		if strings.HasPrefix(dir, "internal/") && table[dir] == "" {
			t.Errorf("docs/ARCHITECTURE.md has no row for %s", dir)
		}
	}
	for dir := range table {
		if found[dir] == nil {
			t.Errorf("docs/ARCHITECTURE.md has a row for %s, which does not exist", dir)
		}
	}
}

// Imports point inward: a room may import its own ring and those before it;
// edges do not know each other, and only wire knows them all.
func TestArrows(t *testing.T) {
	table := rings(t)
	order := []string{"noun", "core", "flow", "edge", "shell"}
	mayImportEdges := []string{"internal/wire", "internal/cli", "internal/lab"} // commands use one edge each; wire joins them
	for dir, r := range rooms(t) {
		from := table[dir]
		if from == "" || from == "test" {
			continue
		}
		for name, files := range r.imports {
			target, ours := strings.CutPrefix(name, module)
			if !ours {
				continue
			}
			to := table[target]
			switch {
			case to == "test":
				t.Errorf("%s imports %s, which is for tests", files[0], target)
			case slices.Index(order, to) > slices.Index(order, from):
				t.Errorf("%s (%s) imports %s (%s): imports point inward", files[0], from, target, to)
			case from == "edge" && to == "edge":
				t.Errorf("%s imports the edge %s: edges do not know each other", files[0], target)
			case from == "shell" && to == "edge" && !slices.Contains(mayImportEdges, dir):
				t.Errorf("%s imports the edge %s: only wire joins them", files[0], target)
			}
		}
	}
}

// The inner rings are pure: no network, files, environment, processes or
// clients, and no clock.
func TestTheCoreIsPure(t *testing.T) {
	table := rings(t)
	impure := []string{"net", "net/http", "os", "os/exec", "log", "log/slog", "math/rand", "math/rand/v2", "syscall"}
	clients := []string{"k8s.io/client-go", "sigs.k8s.io/controller-runtime", "oras.land/oras-go"}
	for dir, r := range rooms(t) {
		ring := table[dir]
		if ring != "noun" && ring != "core" && dir != "internal/publish" {
			continue
		}
		for name, files := range r.imports {
			if slices.Contains(impure, name) && dir != "internal/artifact" || name == "context" {
				t.Errorf("%s imports %s: %s is pure", files[0], name, dir)
			}
			for _, c := range clients {
				if strings.HasPrefix(name, c) {
					t.Errorf("%s imports %s: %s knows no client", files[0], name, dir)
				}
			}
		}
		for _, file := range r.files {
			ast.Inspect(file, func(n ast.Node) bool {
				if call, ok := n.(*ast.SelectorExpr); ok {
					if pkg, ok := call.X.(*ast.Ident); ok && pkg.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After", "NewTimer", "NewTicker"}, call.Sel.Name) {
						t.Errorf("%s reads the clock (time.%s): %s is pure", r.named[file], call.Sel.Name, dir)
					}
				}
				return true
			})
		}
	}
	// artifact looks at addresses, nothing else of the network.
	for _, file := range rooms(t)["internal/artifact"].files {
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.SelectorExpr); ok {
				if pkg, ok := call.X.(*ast.Ident); ok && pkg.Name == "net" && call.Sel.Name != "SplitHostPort" {
					t.Errorf("internal/artifact uses net.%s", call.Sel.Name)
				}
			}
			return true
		})
	}
}

// Only the status room writes conditions.
func TestOnlyStatusWritesConditions(t *testing.T) {
	for dir, r := range rooms(t) {
		if dir == "internal/status" {
			continue
		}
		for _, file := range r.files {
			ast.Inspect(file, func(n ast.Node) bool {
				if lit, ok := n.(*ast.CompositeLit); ok {
					if sel, ok := lit.Type.(*ast.SelectorExpr); ok && sel.Sel.Name == "Condition" {
						t.Errorf("%s makes a condition; internal/status is the only room that does", r.named[file])
					}
				}
				return true
			})
		}
	}
}

// Every package says in one comment what goes in, what comes out and what it
// must never do.
func TestEveryPackageHasItsComment(t *testing.T) {
	for dir, r := range rooms(t) {
		var docs []string
		for _, file := range r.files {
			if file.Doc != nil {
				docs = append(docs, file.Doc.Text())
			}
		}
		switch {
		case len(docs) != 1:
			t.Errorf("%s has %d package comments, want one", dir, len(docs))
		case strings.HasPrefix(dir, "internal/") && !strings.HasSuffix(dir, "/gen"):
			for _, word := range []string{"In:", "Out:"} {
				if !strings.Contains(docs[0], word) {
					t.Errorf("the comment of %s does not say %q", dir, word)
				}
			}
		}
	}
}

func TestNamesSaySomething(t *testing.T) {
	for dir := range rooms(t) {
		for part := range strings.SplitSeq(dir, "/") {
			if slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "manager", "misc", "base", "impl"}, part) {
				t.Errorf("%s: a room called %q says nothing", dir, part)
			}
		}
	}
}

var requirement = regexp.MustCompile(`(?m)^\s*(?:require )?([a-z0-9][^\s]*\.[^\s]+/[^\s]+) v[^\s]+$`)

// Every direct dependency is explained, and nothing explained is gone.
func TestDependenciesAreExplained(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	direct := map[string]bool{}
	for _, m := range requirement.FindAllStringSubmatch(string(mod), -1) {
		direct[m[1]] = true
		if !strings.Contains(string(text), "| `"+m[1]+"` |") {
			t.Errorf("docs/dependencies.md does not explain %s", m[1])
		}
		if strings.HasPrefix(m[1], "k8s.io/kubernetes") {
			t.Errorf("go.mod requires %s, which belongs into lab/", m[1])
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		if !direct[m[1]] {
			t.Errorf("docs/dependencies.md explains %s, which go.mod does not require", m[1])
		}
	}
}

// Tests that a document names exist.
func TestDifferencesNameRealTests(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "flux-differences.md"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, top := range []string{"internal", "oracle", "test"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(p, "_test.go") {
				return err
			}
			raw, err := os.ReadFile(p)
			all.Write(raw)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(string(text), -1) {
		if !strings.Contains(all.String(), "func "+name[1]+"(") {
			t.Errorf("docs/flux-differences.md names %s, which does not exist", name[1])
		}
	}
}
