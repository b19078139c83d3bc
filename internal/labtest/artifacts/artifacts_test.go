package artifacts_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/internal/archive"
	"github.com/sluice-dev/sluice/internal/labtest"
	"github.com/sluice-dev/sluice/internal/labtest/artifacts"
	"github.com/sluice-dev/sluice/internal/object"
)

// onLab is a client of the lab and a namespace there.
func onLab(t *testing.T) (client.WithWatch, string) {
	t.Helper()
	t.Parallel()
	if os.Getenv("SLUICE_LAB") == "" {
		t.Skip("SLUICE_LAB names no lab")
	}
	c := labtest.Client(t)
	return c, labtest.Namespace(t, c)
}

func get(t *testing.T, c client.Client, namespace, name string) *sourcev1.GitRepository {
	t.Helper()
	o := &sourcev1.GitRepository{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, o); err != nil {
		t.Fatal(err)
	}
	return o
}

func fetch(t *testing.T, url string) (int, []byte) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

// What is published is what a consumer of GitRepositories relies on: Ready, and
// an archive of the files at the URL, with its digest and size.
func TestPublish(t *testing.T) {
	c, namespace := onLab(t)
	s := artifacts.New(t)
	old, err := s.Publish(t.Context(), c, artifacts.Source{
		Namespace: namespace, Name: "app", Revision: "v1", Files: artifacts.Files("-- a/x.yaml --\nkind: X\n-- y --\n"), Metadata: map[string]string{"k": "v"},
	})
	if err != nil {
		t.Fatal(err)
	}
	o := get(t, c, namespace, "app")
	a := o.Status.Artifact
	code, body := fetch(t, a.URL)
	if code != http.StatusOK || a.URL != old || a.Revision != "v1" || a.Metadata["k"] != "v" || a.Path == "" || a.LastUpdateTime.IsZero() ||
		a.Digest != digest.FromBytes(body).String() || *a.Size != int64(len(body)) {
		t.Errorf("answered %d with %d bytes for %+v", code, len(body), a)
	}
	if !apimeta.IsStatusConditionTrue(o.Status.Conditions, "Ready") || o.Status.ObservedGeneration != o.Generation {
		t.Errorf("status %+v", o.Status)
	}
	tree, err := archive.Read(strings.NewReader(string(body)), archive.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a/x.yaml", "y"}, tree.Files()); diff != "" {
		t.Error(diff)
	}

	if _, err := s.Publish(t.Context(), c, artifacts.Source{Namespace: namespace, Name: "app", Revision: "v2"}); err != nil {
		t.Fatal(err)
	}
	o = get(t, c, namespace, "app")
	if o.Status.Artifact.Revision != "v2" || o.Status.Artifact.URL == old || o.Status.Artifact.Metadata != nil {
		t.Errorf("after a second publication: %+v", o.Status.Artifact)
	}
	if code, _ := fetch(t, old); code != http.StatusOK {
		t.Errorf("the old artifact is gone: %d", code)
	}
	if got := s.Asked(namespace, "app"); got != 2 {
		t.Errorf("asked %d times, want 2", got)
	}
}

func TestPromise(t *testing.T) {
	c, namespace := onLab(t)
	if err := artifacts.New(t).Promise(t.Context(), c, namespace, "app"); err != nil {
		t.Fatal(err)
	}
	if o := get(t, c, namespace, "app"); o.Status.Artifact != nil {
		t.Errorf("promised, and there already: %+v", o.Status.Artifact)
	}
}

func TestWithheld(t *testing.T) {
	c, namespace := onLab(t)
	s := artifacts.New(t)
	src := artifacts.Source{Kind: "ExternalArtifact", Namespace: namespace, Name: "app", Revision: "v1", Files: map[string]string{"a": "b"}}
	for _, withheld := range []bool{true, false} {
		src.Withheld = withheld
		url, err := s.Publish(t.Context(), c, src)
		if err != nil {
			t.Fatal(err)
		}
		o := &sourcev1.ExternalArtifact{}
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "app"}, o); err != nil {
			t.Fatal(err)
		}
		if code, _ := fetch(t, url); o.Status.Artifact.URL != url || (code == http.StatusOK) == withheld {
			t.Errorf("withheld: %v, answered %d for %+v", withheld, code, o.Status.Artifact)
		}
	}
}

func TestBlock(t *testing.T) {
	c, namespace := onLab(t)
	s := artifacts.New(t)
	url, err := s.Publish(t.Context(), c, artifacts.Source{Namespace: namespace, Name: "app", Revision: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	for trouble, want := range map[artifacts.Trouble]int{artifacts.Missing: 404, artifacts.Broken: 500, artifacts.None: 200} {
		s.Block(trouble)
		if code, _ := fetch(t, url); code != want {
			t.Errorf("trouble %d answers %d, want %d", trouble, code, want)
		}
	}
	s.Block(artifacts.Hanging)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := http.DefaultClient.Do(r); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a request that hangs ends with %v", err)
	}
}

// The chain is what it says: as many objects as asked for, each file the object
// that its inventory names, and a second version that changes, adds and removes.
func TestChain(t *testing.T) {
	c := artifacts.Chain{Links: 5, Each: 4, Group: "x.example.com"}
	total := map[artifacts.Version]int{}
	kinds := map[string]int{}
	for _, v := range []artifacts.Version{artifacts.First, artifacts.Second} {
		for link := range c.Links {
			var ids []object.ID
			for _, text := range c.Bundles(v)[c.Name(link)] {
				id := read(t, text)
				if id.Kind != "CustomResourceDefinition" {
					id.Namespace = "ns"
				}
				ids = append(ids, id)
				kinds[id.Kind]++
			}
			total[v] += len(ids)
			if diff := cmp.Diff(c.Objects(link, v, "ns"), object.Sorted(ids)); diff != "" {
				t.Errorf("%s of version %d (-said +is)\n%s", c.Name(link), v, diff)
			}
		}
	}
	if total[artifacts.First] != 20 || total[artifacts.Second] != 19 {
		t.Errorf("objects: %v, want 20 and 19", total)
	}
	for _, kind := range []string{"CustomResourceDefinition", "Widget", "Deployment", "Job", "ServiceAccount", "ConfigMap"} {
		if kinds[kind] == 0 {
			t.Errorf("no %s", kind)
		}
	}
	first, second := c.Files(artifacts.First), c.Files(artifacts.Second)
	var same, changed, removed, added int
	for file, text := range first {
		switch now, found := second[file]; {
		case !found:
			removed++
		case now == text:
			same++
		default:
			changed++
		}
	}
	for file := range second {
		if _, found := first[file]; !found {
			added++
		}
	}
	if got, want := []int{same, changed, removed, added}, []int{5, 12, 3, 2}; !cmp.Equal(got, want) {
		t.Errorf("same, changed, removed, added: %v, want %v", got, want)
	}
	all := c.Kustomizations("ns", "app")
	if len(all) != 5 || len(all[0].Spec.DependsOn) != 0 || all[4].Spec.DependsOn[0].Name != all[3].Name || all[4].Spec.Path != "./link-4" {
		t.Errorf("Kustomizations: %+v", all)
	}
}

func read(t *testing.T, text string) object.ID {
	t.Helper()
	var o struct {
		APIVersion, Kind string
		Metadata         struct{ Name string }
	}
	if err := yaml.Unmarshal([]byte(text), &o); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	group, _, grouped := strings.Cut(o.APIVersion, "/")
	if !grouped {
		group = ""
	}
	return object.ID{Group: group, Kind: o.Kind, Name: o.Metadata.Name}
}
