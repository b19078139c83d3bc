package build_test

import (
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/internal/build"
)

// counted counts how often an object's file is read, and lets nobody read it
// before the gate is open.
type counted struct {
	fstest.MapFS
	reads atomic.Int64
	gate  chan struct{}
}

func (c *counted) Open(name string) (fs.File, error) {
	if name == "a.yaml" {
		c.reads.Add(1)
		if c.gate != nil {
			<-c.gate
		}
	}
	return c.MapFS.Open(name)
}

func (c *counted) ReadFile(name string) ([]byte, error) {
	f, err := c.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return c.MapFS.ReadFile(name)
}

func one(content string) *counted {
	return &counted{MapFS: fstest.MapFS{"a.yaml": {Data: []byte(content)}, "kustomization.yaml": {Data: []byte("resources: [a.yaml]\n")}}}
}

const configMap = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: \"${a}\"}\n"

func named(name string) *kustomizev1.Kustomization {
	ks := &kustomizev1.Kustomization{}
	ks.Name = name
	ks.Spec.PostBuild = &kustomizev1.PostBuild{Substitute: map[string]string{"a": name}}
	return ks
}

// A thousand Kustomizations of one bundle are one build; each gets its own
// variables and labels, and what one does to its objects no other sees.
func TestManyKustomizationsAreOneBuild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys, cache := one(configMap), build.NewCache(1<<20)
		fsys.gate = make(chan struct{})
		for i := range 1000 {
			go func() {
				name := fmt.Sprint("app-", i)
				result, err := cache.Build(build.Bundle{FS: fsys, Digest: "sha256:1"}, named(name), build.Values{}, build.Options{Strict: true})
				if err != nil {
					t.Error(err)
					return
				}
				u := result.Objects[0]
				value, _, _ := unstructured.NestedString(u.Object, "data", "a")
				if value != name || u.GetLabels()["kustomize.toolkit.fluxcd.io/name"] != name {
					t.Errorf("%s got %v", name, u.Object)
				}
				u.Object["data"] = nil
			}()
		}
		synctest.Wait()
		before := fsys.reads.Load()
		close(fsys.gate)
		synctest.Wait()
		alone := one(configMap)
		if _, err := new(build.Cache).Build(build.Bundle{FS: alone, Digest: "sha256:1"}, named("x"), build.Values{}, build.Options{}); err != nil {
			t.Fatal(err)
		}
		if before == 0 || fsys.reads.Load() != alone.reads.Load() {
			t.Errorf("the object was looked at %d times by a thousand, %d times by one", fsys.reads.Load(), alone.reads.Load())
		}
	})
}

// What waits for a failing build fails with it; the next one tries again.
func TestFailuresAreNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys, cache := one("a: [\n"), build.NewCache(1<<20)
		fsys.gate = make(chan struct{})
		var failed atomic.Int64
		for range 10 {
			go func() {
				if _, err := cache.Build(build.Bundle{FS: fsys, Digest: "sha256:1"}, named("x"), build.Values{}, build.Options{}); err != nil {
					failed.Add(1)
				}
			}()
		}
		synctest.Wait()
		close(fsys.gate)
		synctest.Wait()
		if failed.Load() != 10 {
			t.Errorf("%d of 10 failed", failed.Load())
		}
		if _, err := cache.Build(build.Bundle{FS: one(configMap), Digest: "sha256:1"}, named("x"), build.Values{}, build.Options{}); err != nil {
			t.Errorf("the failure was kept: %v", err)
		}
	})
}

// builds tells how many of the Kustomizations were built anew.
func builds(t *testing.T, cache *build.Cache, digest string, list ...*kustomizev1.Kustomization) int {
	t.Helper()
	n := 0
	for _, ks := range list {
		fsys := one(configMap)
		if _, err := cache.Build(build.Bundle{FS: fsys, Digest: digest}, ks, build.Values{}, build.Options{}); err != nil {
			t.Fatal(err)
		}
		if fsys.reads.Load() > 0 {
			n++
		}
	}
	return n
}

func TestWhatIsKept(t *testing.T) {
	with := func(change func(*kustomizev1.KustomizationSpec)) *kustomizev1.Kustomization {
		ks := named("a")
		change(&ks.Spec)
		return ks
	}
	prefixed := with(func(s *kustomizev1.KustomizationSpec) { s.NamePrefix = "p-" })
	spelled := with(func(s *kustomizev1.KustomizationSpec) { s.Path = "./" })
	later := with(func(s *kustomizev1.KustomizationSpec) {
		s.CommonMetadata, s.Prune, s.Force = &kustomizev1.CommonMetadata{Labels: map[string]string{"a": "b"}}, true, true
	})
	for _, test := range []struct {
		what   string
		cache  *build.Cache
		digest string
		list   []*kustomizev1.Kustomization
		want   int
	}{
		{"what comes after kustomize, and other spellings of a path", build.NewCache(1 << 20), "d", []*kustomizev1.Kustomization{named("a"), named("b"), later, spelled}, 1},
		{"another field that kustomize sees", build.NewCache(1 << 20), "d", []*kustomizev1.Kustomization{named("a"), prefixed, named("a"), prefixed}, 2},
		{"content without a name", build.NewCache(1 << 20), "", []*kustomizev1.Kustomization{named("a"), named("a")}, 2},
		{"no room", build.NewCache(0), "d", []*kustomizev1.Kustomization{named("a"), named("a")}, 2},
		{"room for one: the last used stays", build.NewCache(1800), "d", []*kustomizev1.Kustomization{named("a"), prefixed, prefixed, named("a"), named("a")}, 3},
		{"no cache", nil, "d", []*kustomizev1.Kustomization{named("a"), named("a")}, 2},
	} {
		if got := builds(t, test.cache, test.digest, test.list...); got != test.want {
			t.Errorf("%s: %d builds, want %d", test.what, got, test.want)
		}
	}
}

// A file system that fails is not an empty one.
func TestReadErrorsAreErrors(t *testing.T) {
	broken := errors.New("broken")
	_, err := new(build.Cache).Build(build.Bundle{FS: failing{broken}}, named("a"), build.Values{}, build.Options{})
	if !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

type failing struct{ err error }

func (f failing) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: f.err}
}

func BenchmarkKept(b *testing.B) {
	cache, fsys := build.NewCache(1<<20), one(configMap)
	for b.Loop() {
		if _, err := cache.Build(build.Bundle{FS: fsys, Digest: "d"}, named("a"), build.Values{}, build.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
