package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	syaml "sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the goldens")

// noon is when all goldens were looked at.
var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// views are what a golden may hold of its objects.
var views = map[string]func(Snapshot) string{
	"list": func(s Snapshot) string { return join(list(s, List{}).Lines(Style{}, noon)) },
	"wide": func(s Snapshot) string {
		return join(list(s, List{Wide: true, AllNamespaces: true}).Lines(Style{}, noon))
	},
	"ascii": func(s Snapshot) string { return join(GraphOf(s, "").Lines(Style{ASCII: true}, noon)) },
	"color": func(s Snapshot) string {
		return strings.ReplaceAll(join(GraphOf(s, "").Lines(Style{Color: true, Width: 60}, noon)), "\x1b", "ESC")
	},
	"graph": func(s Snapshot) string { return join(GraphOf(s, "").Lines(Style{}, noon)) },
	"only":  func(s Snapshot) string { return join(GraphOf(s, "apps").Lines(Style{}, noon)) },
	"dot":   func(s Snapshot) string { return GraphOf(s, "").Dot() },
	"json": func(s Snapshot) string {
		out, err := json.MarshalIndent(GraphOf(s, ""), "", "  ")
		if err != nil {
			return err.Error()
		}
		return string(out) + "\n"
	},
}

func list(s Snapshot, l List) List {
	sources, kustomizations := Rows(s)
	l.Sections = []Section{{"SOURCE", sources}, {"KUSTOMIZATION", kustomizations}}
	return l
}

func join(lines []string) string { return strings.Join(lines, "\n") + "\n" }

// Each golden holds objects, and what some of the views make of them.
func TestGoldens(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no goldens", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := parse(t, a.Files[0].Data)
			for i, f := range a.Files[1:] {
				got := views[f.Name](s)
				if again := views[f.Name](parse(t, a.Files[0].Data)); again != got {
					t.Errorf("%s: not the same twice", f.Name)
				}
				if *update {
					a.Files[i+1].Data = []byte(got)
				} else if diff := cmp.Diff(string(f.Data), got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", f.Name, diff)
				}
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// parse reads objects with their statuses.
func parse(t *testing.T, raw []byte) Snapshot {
	t.Helper()
	var s Snapshot
	reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(raw)))
	for {
		doc, err := reader.Read()
		if err != nil {
			return s
		}
		var head struct {
			metav1.TypeMeta `json:",inline"`
		}
		if err := syaml.Unmarshal(doc, &head); err != nil {
			t.Fatal(err)
		}
		obj := New(head.Kind)
		if obj == nil {
			t.Fatalf("kind %q", head.Kind)
		}
		if err := syaml.UnmarshalStrict(doc, obj); err != nil {
			t.Fatal(err)
		}
		if ks, ok := obj.(*kustomizev1.Kustomization); ok {
			s.Kustomizations = append(s.Kustomizations, ks)
		} else {
			s.Sources = append(s.Sources, obj)
		}
		slices.Reverse(s.Kustomizations) // their order must not matter
	}
}
