package fleet_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/internal/fleet"
)

const whole = `
repository: oci://${REGISTRY}/org/infra
tags: [main]
clusters:
- name: staging
  path: ./clusters/staging/
  variables: &shared
    REGISTRY: ghcr.io
    REPLICAS: 3
- name: production
  path: clusters/production
  variables: *shared
sources:
- url: oci://${REGISTRY}/org/app-kustomize
  path: ../app/config
  tags: [v1.0.0, latest]
try:
- say: Look.
  run: sluice status
`

func TestParse(t *testing.T) {
	got, err := fleet.Parse([]byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{"REGISTRY": "ghcr.io", "REPLICAS": "3"}
	want := fleet.Fleet{
		Repository: fleet.Source{URL: "oci://${REGISTRY}/org/infra", Path: ".", Tags: []string{"main"}},
		Clusters:   []fleet.Cluster{{"staging", "clusters/staging", vars}, {"production", "clusters/production", vars}},
		Sources:    []fleet.Source{{"oci://${REGISTRY}/org/app-kustomize", "../app/config", []string{"v1.0.0", "latest"}}},
		Try:        []fleet.Suggestion{{"Look.", "sluice status"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseSaysWhatAndWhere(t *testing.T) {
	const head = "repository: oci://r.example/infra\nclusters:\n- name: staging\n  path: clusters/staging\n"
	for text, want := range map[string]string{
		"":                                    "sluice.yaml: the file is empty",
		"# only a comment\n":                  "sluice.yaml: the file is empty",
		"- a\n":                               "sluice.yaml:1: want a mapping",
		"repository: [\n":                     "this is no YAML",
		head + "---\nx: y\n":                  "the file holds a second document",
		head + "source: []\n":                 `sluice.yaml:5: sluice.yaml has no field "source"; it has clusters, repository, sources, tags, try`,
		head + "clusters: []\n":               "sluice.yaml:5: sluice.yaml has clusters twice",
		head + "- name: staging\n  path: x\n": "sluice.yaml:5: there are two clusters staging",
		head + "- name: Prod\n  path: x\n":    `sluice.yaml:5: "Prod" is no name`,
		head + "- path: x\n":                  "sluice.yaml:5: a cluster needs the field name",
		head + "- name: b\n  path: ../x\n":    `sluice.yaml:6: "../x" is outside of this directory`,
		head + "- name: b\n  path: /x\n":      `sluice.yaml:6: "/x" is absolute`,
		head + "- name: b\n  path: x\n  variables: {1a: b}\n":                     `sluice.yaml:7: "1a" is no name of a variable`,
		head + "- name: b\n  path: x\n  variables: {a: [b]}\n":                    "sluice.yaml:7: a wants a text",
		head + "- name: b\n  path: x\n  variables: {a: }\n":                       "sluice.yaml:7: a wants a text",
		head + "sources: {}\n":                                                    "sluice.yaml:5: sources wants a list",
		head + "sources:\n- url: https://r.example/app\n  path: x\n":              "sluice.yaml:6: ",
		head + "sources:\n- url: r.example/app\n  path: x\n":                      `sluice.yaml:6: "r.example/app" is no URL of a bundle`,
		head + "sources:\n- url: oci://r.example/app:v1\n  path: x\n":             `sluice.yaml:6: "oci://r.example/app:v1" names a version`,
		head + "sources:\n- url: oci://${R}/App\n  path: x\n":                     "sluice.yaml:6: ",
		head + "sources:\n- url: oci://r.example/app\n  path: x\n  tags: [a b]\n": "sluice.yaml:8: ",
		head + "sources:\n- url: oci://r.example/infra\n  path: x\n":              "sluice.yaml:6: there are two directories for oci://r.example/infra",
		head + "try:\n- say: x\n":                                                 "sluice.yaml:6: a suggestion needs the field run",
		"repository: oci://r.example/infra\n":                                     "sluice.yaml:1: sluice.yaml needs the field clusters",
		"clusters: []\n":                                                          "sluice.yaml:1: sluice.yaml needs the field repository",
		"repository: oci://r.example/infra\nclusters: []\n":                       "sluice.yaml:1: clusters is empty",
		"repository:\nclusters: []\n":                                             "sluice.yaml:1: want a text",
	} {
		_, err := fleet.Parse([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
}

func TestFind(t *testing.T) {
	f, err := fleet.Parse([]byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	vars := f.Clusters[0].With(map[string]string{"REGISTRY": "127.0.0.1:5000"})
	if vars["REPLICAS"] != "3" || f.Clusters[0].Variables["REGISTRY"] != "ghcr.io" {
		t.Errorf("With changed what it was given, or lost something: %v, %v", vars, f.Clusters[0].Variables)
	}
	for url, path := range map[string]string{
		"oci://127.0.0.1:5000/org/app-kustomize": "../app/config",
		"oci://127.0.0.1:5000/org/infra":         ".",
		"oci://ghcr.io/org/app-kustomize":        "",
	} {
		s, found := f.Find(url, vars)
		if found != (path != "") || s.Path != path {
			t.Errorf("%s: %+v, %t", url, s, found)
		}
	}
}

func TestExample(t *testing.T) {
	raw, err := os.ReadFile("../../examples/infra/sluice.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f, err := fleet.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"staging", "production"}, f.Names()); diff != "" {
		t.Error(diff)
	}
}

// Whatever the text is, Parse gives a fleet that makes sense or says where it is
// wrong.
func FuzzParse(f *testing.F) {
	f.Add(whole)
	f.Add("repository: oci://r.example/infra\nclusters: [{name: a, path: b}]\n")
	f.Add("? [a]\n: b\n")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := fleet.Parse([]byte(text))
		var said *fleet.Error
		switch {
		case err == nil && (len(got.Clusters) == 0 || got.Repository.URL == ""):
			t.Errorf("nothing is wrong with %+v", got)
		case err != nil && (!errors.As(err, &said) || said.Line < 0 || said.Line > strings.Count(text, "\n")+strings.Count(text, "\r")+2):
			t.Errorf("%#v", err)
		}
	})
}
