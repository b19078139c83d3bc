package oracle

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/kustomize"
	generator "github.com/fluxcd/pkg/kustomize"
	"github.com/fluxcd/pkg/ssa"
	"github.com/fluxcd/pkg/ssa/normalize"
	ssautil "github.com/fluxcd/pkg/ssa/utils"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/internal/build"
)

// job is one build: a directory on disk and a Kustomization for it.
type job struct {
	name   string
	root   string
	ks     *kustomizev1.Kustomization
	values build.Values
	strict bool
}

// made is what a build gave.
type made struct {
	objects []map[string]any
	digest  string
	err     error
}

// ours builds with Sluice.
func (a job) ours(cache *build.Cache) (made, *build.Result) {
	result, err := cache.Build(build.Bundle{FS: os.DirFS(a.root), Digest: a.root}, a.ks, a.values, build.Options{Strict: a.strict})
	if err != nil {
		return made{err: err}, &build.Result{}
	}
	return made{objects: contentOf(result.Objects), digest: result.Digest}, result
}

// flux builds with Flux's modules as kustomize-controller does
// (internal/controller/kustomization_controller.go reconcile, build, apply).
func (a job) flux(t testing.TB) made {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(a.ks)
	if err != nil {
		t.Fatal(err)
	}
	yaml, err := a.fluxYAML(t, unstructured.Unstructured{Object: content})
	if err != nil {
		return made{err: err}
	}
	objects, err := ssautil.ReadObjects(bytes.NewReader(yaml))
	if err != nil {
		return made{err: err}
	}
	manager := ssa.NewResourceManager(nil, nil, ssa.Owner{Field: "kustomize-controller", Group: kustomizev1.GroupVersion.Group})
	manager.SetOwnerLabels(objects, a.ks.Name, a.ks.Namespace)
	if err := normalize.UnstructuredList(objects); err != nil {
		return made{err: err}
	}
	if common := a.ks.Spec.CommonMetadata; common != nil {
		ssautil.SetCommonMetadata(objects, common.Labels, common.Annotations)
	}
	for _, u := range objects {
		ssautil.RemoveCABundleFromCRD(u)
	}
	return made{objects: contentOf(objects), digest: digest.FromBytes(yaml).String()}
}

func (a job) fluxYAML(t testing.TB, ks unstructured.Unstructured) ([]byte, error) {
	t.Helper()
	dir := filepath.Join(a.root, filepath.Clean("/"+a.ks.Spec.Path))
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	before := map[string][]byte{}
	for _, name := range []string{"kustomization.yaml", "kustomization.yml", "Kustomization"} {
		if raw, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			before[name] = raw
		}
	}
	defer func() {
		if len(before) == 0 {
			_ = os.Remove(filepath.Join(dir, "kustomization.yaml"))
		}
		for name, raw := range before {
			if err := os.WriteFile(filepath.Join(dir, name), raw, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}()
	if _, err := generator.NewGenerator(a.root, ks).WriteFile(dir); err != nil {
		return nil, err
	}
	m, err := generator.SecureBuild(a.root, dir, false)
	if err != nil {
		return nil, err
	}
	for _, res := range m.Resources() {
		if a.ks.Spec.PostBuild == nil {
			break
		}
		out, err := generator.SubstituteVariables(context.Background(), held(a.values), ks, res,
			generator.SubstituteWithStrict(a.strict),
			generator.SubstituteWithAlways(a.ks.GetSubstituteStrategy() == kustomizev1.SubstituteStrategyAlways))
		if err != nil {
			return nil, err
		}
		if out != nil {
			if _, err := m.Replace(res); err != nil {
				return nil, err
			}
		}
	}
	return m.AsYaml()
}

func contentOf(objects []*unstructured.Unstructured) []map[string]any {
	list := make([]map[string]any, 0, len(objects))
	for _, u := range objects {
		list = append(list, u.Object)
	}
	return list
}

// held serves variables to Flux as the API server would.
func held(v build.Values) client.Client { return heldValues{values: v} }

type heldValues struct {
	client.Client
	values build.Values
}

func (h heldValues) Get(_ context.Context, key types.NamespacedName, obj client.Object, _ ...client.GetOption) error {
	for _, s := range h.values.Sources {
		if s.Name != key.Name {
			continue
		}
		switch o := obj.(type) {
		case *corev1.ConfigMap:
			if s.Kind == "ConfigMap" {
				o.Data = s.Data
				return nil
			}
		case *corev1.Secret:
			if s.Kind == "Secret" {
				o.Data = map[string][]byte{}
				for k, v := range s.Data {
					o.Data[k] = []byte(v)
				}
				return nil
			}
		}
	}
	return fmt.Errorf("no %T %s", obj, key)
}

// deliberate tells why we may refuse what Flux builds.
func deliberate(err error) string {
	for _, why := range []string{"nothing is fetched from elsewhere", "SOPS encrypted", "is there twice", "helm charts are not rendered"} {
		if strings.Contains(err.Error(), why) {
			return why
		}
	}
	return ""
}

// compare fails unless both built the same, or both refused.
func compare(t testing.TB, a job, ours, flux made) {
	t.Helper()
	switch {
	case ours.err != nil && flux.err != nil:
	case ours.err != nil:
		t.Errorf("%s: Flux builds it, we say: %v", a.name, ours.err)
	case flux.err != nil:
		t.Errorf("%s: we build it, Flux says: %v", a.name, flux.err)
	default:
		if diff := cmp.Diff(flux.objects, ours.objects); diff != "" {
			t.Errorf("%s (-Flux +ours):\n%s", a.name, diff)
		}
		if flux.digest != ours.digest {
			t.Errorf("%s: digest %s of Flux, %s of ours", a.name, flux.digest, ours.digest)
		}
	}
}

// copyTree copies the files of a directory, without symlinks, which no
// artifact has; Flux writes into what it builds.
func copyTree(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	err := filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, p)
		switch {
		case d.Name() == ".git":
			return fs.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		raw, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), raw, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// moduleDir is where the sources of a module of Flux lie, with its testdata.
func moduleDir(t testing.TB, module string) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// kustomizations are all directories of a tree that have a kustomization file.
func kustomizations(t testing.TB, root string) []string {
	t.Helper()
	var dirs []string
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && slices.Contains([]string{"kustomization.yaml", "kustomization.yml", "Kustomization"}, d.Name()) {
			rel, _ := filepath.Rel(root, filepath.Dir(p))
			dirs = append(dirs, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

func plainKustomization(path string) *kustomizev1.Kustomization {
	return &kustomizev1.Kustomization{
		ObjectMeta: metav1.ObjectMeta{Namespace: "flux-system", Name: "app"},
		Spec:       kustomizev1.KustomizationSpec{Path: path},
	}
}

// declared are the Kustomization objects in a tree whose path is a directory of
// the same tree. What they read from the cluster is left out.
func declared(t testing.TB, root string) []*kustomizev1.Kustomization {
	t.Helper()
	var found []*kustomizev1.Kustomization
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if ext := filepath.Ext(p); err != nil || d.IsDir() || ext != ".yaml" && ext != ".yml" {
			return err
		}
		raw, err := os.ReadFile(p)
		if err != nil || !bytes.Contains(raw, []byte("kustomize.toolkit.fluxcd.io/v1")) {
			return err
		}
		for _, doc := range bytes.Split(raw, []byte("\n---")) {
			ks := &kustomizev1.Kustomization{}
			if yaml.Unmarshal(doc, ks) != nil || ks.Kind != "Kustomization" || !strings.HasPrefix(ks.APIVersion, "kustomize.toolkit.fluxcd.io/") {
				continue
			}
			if info, err := os.Stat(filepath.Join(root, filepath.Clean("/"+ks.Spec.Path))); err != nil || !info.IsDir() {
				continue
			}
			if ks.Spec.PostBuild != nil {
				ks.Spec.PostBuild.SubstituteFrom = nil
			}
			ks.Spec.Decryption = nil
			found = append(found, ks)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Every kustomization of real repositories builds to the same objects, in the
// same order, and what Flux refuses we refuse.
func TestBuildsTheCorpusAsFlux(t *testing.T) {
	root := os.Getenv("SLUICE_CORPUS")
	if root == "" {
		t.Skip("NO CORPUS: the environment variable SLUICE_CORPUS is not set")
	}
	repos, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	var jobs []job
	for _, repo := range repos {
		if !repo.IsDir() {
			continue
		}
		tree := copyTree(t, filepath.Join(root, repo.Name()))
		for _, dir := range kustomizations(t, tree) {
			jobs = append(jobs, job{name: repo.Name() + "/" + dir, root: tree, ks: plainKustomization(dir)})
		}
		for _, ks := range declared(t, tree) {
			jobs = append(jobs, job{name: repo.Name() + " Kustomization " + ks.Namespace + "/" + ks.Name, root: tree, ks: ks})
		}
	}
	compareAll(t, jobs)
}

// compareAll builds with ours side by side, then with Flux, which resets the
// schema that both share.
func compareAll(t testing.TB, jobs []job) {
	t.Helper()
	openapi.Schema()
	cache := build.NewCache(1 << 30)
	results := make([]made, len(jobs))
	var builds sync.WaitGroup
	next := make(chan int)
	for range 2 {
		builds.Go(func() {
			for i := range next {
				results[i], _ = jobs[i].ours(cache)
			}
		})
	}
	for i := range jobs {
		next <- i
	}
	close(next)
	builds.Wait()
	counts, objects := map[string]int{}, 0
	for i, a := range jobs {
		if err := results[i].err; err != nil {
			if why := deliberate(err); why != "" {
				counts["refused: "+why]++
				continue
			}
		}
		flux := a.flux(t)
		compare(t, a, results[i], flux)
		if flux.err != nil {
			counts["refused by both"]++
			t.Logf("%s: Flux: %.200v | ours: %.200v", a.name, flux.err, results[i].err)
			continue
		}
		counts["equal"]++
		objects += len(flux.objects)
	}
	t.Logf("%d builds, %d objects: %v", len(jobs), objects, counts)
}

// specs are what a Kustomization can ask of a build, in its parts.
func specs() map[string]kustomizev1.KustomizationSpec {
	name := "ghcr.io/example/app"
	sum := "sha256:" + strings.Repeat("a", 64)
	return map[string]kustomizev1.KustomizationSpec{
		"nothing":   {},
		"namespace": {TargetNamespace: "apps"},
		"names":     {NamePrefix: "pre-", NameSuffix: "-suf"},
		"all names": {TargetNamespace: "apps", NamePrefix: "pre-", NameSuffix: "-suf"},
		"merge patch": {Patches: []kustomize.Patch{{
			Patch:  "apiVersion: v1\nkind: Any\nmetadata:\n  name: any\n  labels: {patched: \"yes\"}\n",
			Target: &kustomize.Selector{Kind: "Deployment|ConfigMap"},
		}}},
		"json patch": {TargetNamespace: "apps", Patches: []kustomize.Patch{{
			Patch:  `[{"op":"add","path":"/metadata/labels","value":{"patched":"yes"}}]`,
			Target: &kustomize.Selector{Kind: "Deployment", Name: "app.*"},
		}}},
		"patch for nothing":  {Patches: []kustomize.Patch{{Patch: "- op: remove\n  path: /spec\n", Target: &kustomize.Selector{Name: "nobody"}}}},
		"patch by name":      {Patches: []kustomize.Patch{{Patch: "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app\nspec:\n  replicas: 3\n"}}},
		"patch deletes":      {Patches: []kustomize.Patch{{Patch: "$patch: delete\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: any\n", Target: &kustomize.Selector{Kind: "ConfigMap"}}}},
		"bad patch":          {Patches: []kustomize.Patch{{Patch: "{", Target: &kustomize.Selector{Kind: "ConfigMap"}}}},
		"bad target":         {Patches: []kustomize.Patch{{Patch: "- op: remove\n  path: /spec\n", Target: &kustomize.Selector{Name: "("}}}},
		"image tag":          {Images: []kustomize.Image{{Name: name, NewTag: "v2"}, {Name: "nginx", NewTag: "v2"}}},
		"image name":         {Images: []kustomize.Image{{Name: name, NewName: "registry.example.com/app"}}},
		"image digest":       {Images: []kustomize.Image{{Name: name, Digest: sum}, {Name: "nginx", NewName: "n", Digest: sum}}},
		"components":         {Components: []string{"../component"}},
		"no component":       {Components: []string{"../missing"}},
		"ignored component":  {Components: []string{"../missing", "../component"}, IgnoreMissingComponents: true},
		"remote component":   {Components: []string{"https://example.com/component"}},
		"absolute component": {Components: []string{"/component"}},
		"origin":             {BuildMetadata: []kustomizev1.BuildMetadataOption{"originAnnotations"}},
		"transformations":    {NamePrefix: "pre-", BuildMetadata: []kustomizev1.BuildMetadataOption{"originAnnotations", "transformerAnnotations"}},
		"common metadata":    {CommonMetadata: &kustomizev1.CommonMetadata{Labels: map[string]string{"team": "a", "app": "other"}, Annotations: map[string]string{"why": "test"}}},
		"defaults":           {PostBuild: &kustomizev1.PostBuild{SubstituteStrategy: "Always"}},
	}
}

// trees are small bundles with the cases of the generator.
func trees(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	deployment := "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app\nspec:\n  template:\n    spec:\n      containers:\n      - name: app\n        image: ghcr.io/example/app:v1\n        ports:\n        - containerPort: 80\n"
	config := func(name string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\ndata:\n  a: \"1\"\n"
	}
	for name, text := range map[string]string{
		"plain/app.yaml":                    deployment,
		"plain/a/x.yml":                     config("x"),
		"plain/a-b.yaml":                    config("a-b"),
		"plain/README.md":                   "no object",
		"plain/empty.yaml":                  "# nothing\n",
		"plain/two.yaml":                    config("one") + "---\n" + config("two"),
		"plain/list.yaml":                   "apiVersion: v1\nkind: List\nitems:\n- " + strings.ReplaceAll(strings.TrimSpace(config("listed")), "\n", "\n  ") + "\n",
		"nested/sub/kustomization.yaml":     "resources: [app.yaml]\nnamePrefix: sub-\n",
		"nested/sub/app.yaml":               deployment,
		"nested/sub/left.yaml":              config("left-out"),
		"nested/deep/er/c.yaml":             config("c"),
		"images/kustomization.yaml":         "resources: [../plain/app.yaml]\nimages:\n- name: ghcr.io/example/app\n  newName: other\n  digest: sha256:" + strings.Repeat("b", 64) + "\n",
		"tags/kustomization.yml":            "resources: [../plain/app.yaml]\nimages:\n- name: ghcr.io/example/app\n  newTag: v7\n",
		"unknown/Kustomization":             "resources: [../plain/app.yaml]\nresorces: [x]\nbuildMetadata: [managedByLabel]\n",
		"explicit/kustomization.yaml":       "resources: []\n",
		"only-component/kustomization.yaml": "components: [../component]\n",
		"generators/kustomization.yaml":     "configMapGenerator:\n- name: g\n  literals: [a=1]\n",
		"old/kustomization.yaml":            "bases: [../plain/a-b.yaml]\n",
		"component/kustomization.yaml":      "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nconfigMapGenerator:\n- name: from-component\n  literals: [a=1]\n",
		"broken/a.yaml":                     "a: [\n",
		"values/a.yaml":                     "replicas: 3\n",
		"broken-file/kustomization.yaml":    "resources: {}\n",
		"items/crontab.yaml":                "apiVersion: example.com/v1\nkind: Cart\nmetadata:\n  name: cart\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: inside}\n",
		"README.txt":                        "",
	} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(root, "none"), 0o755); err != nil {
		t.Fatal(err)
	}
	return root
}

// Every part of a spec, on every kind of directory: ours and those of Flux's
// own tests.
func TestGeneratesAsFlux(t *testing.T) {
	var jobs []job
	upstream := copyTree(t, filepath.Join(moduleDir(t, "github.com/fluxcd/pkg/kustomize"), "testdata"))
	own := trees(t)
	for name, spec := range specs() {
		for _, root := range []string{own, upstream} {
			dirs, err := fs.Glob(os.DirFS(root), "*")
			if err != nil {
				t.Fatal(err)
			}
			for _, dir := range append(dirs, "nokustomization/resources", "nokustomization/panic", "relbase/clusters/staging/flux-system", "openapiPollution/pollutor", "openapiPollution/victim", "./plain", "/plain/", "../plain", "") {
				if info, err := os.Stat(filepath.Join(root, filepath.Clean("/"+dir))); err != nil || !info.IsDir() {
					continue
				}
				ks := plainKustomization(dir)
				ks.Spec = spec
				ks.Spec.Path = dir
				jobs = append(jobs, job{name: filepath.Base(root) + "/" + dir + " with " + name, root: root, ks: ks})
			}
		}
	}
	compareAll(t, jobs)
}

// What two parts of a spec do together.
func TestGeneratesAsFluxByChance(t *testing.T) {
	root := trees(t)
	parts := specs()
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range parts {
			if !yield(name) {
				return
			}
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		dir := rapid.SampledFrom([]string{"plain", "nested", "images", "tags", "explicit", "only-component", "none", "generators"}).Draw(rt, "directory")
		ks := plainKustomization(dir)
		for _, name := range rapid.SliceOfN(rapid.SampledFrom(names), 0, 4).Draw(rt, "parts") {
			combine(&ks.Spec, parts[name])
		}
		j := job{name: dir, root: root, ks: ks}
		openapi.Schema()
		ours, _ := j.ours(nil)
		compare(asTB{t, rt}, j, ours, j.flux(t))
	})
}

func combine(spec *kustomizev1.KustomizationSpec, part kustomizev1.KustomizationSpec) {
	path := spec.Path
	spec.Patches = append(spec.Patches, part.Patches...)
	spec.Images = append(spec.Images, part.Images...)
	spec.Components = append(spec.Components, part.Components...)
	part.Patches, part.Images, part.Components = spec.Patches, spec.Images, spec.Components
	raw, _ := yaml.Marshal(part)
	_ = yaml.Unmarshal(raw, spec)
	spec.Path = path
}

// asTB fails a check of a property.
type asTB struct {
	testing.TB
	rt *rapid.T
}

func (a asTB) Errorf(format string, args ...any) { a.rt.Fatalf(format, args...) }

// Every object is normalised as Flux does it, with the same types.
func TestNormalisesAsFlux(t *testing.T) {
	var files []string
	for _, root := range []string{os.Getenv("SLUICE_CORPUS"), filepath.Join(moduleDir(t, "github.com/fluxcd/pkg/ssa"), "testdata")} {
		if root == "" {
			t.Log("NO CORPUS: the environment variable SLUICE_CORPUS is not set")
			continue
		}
		err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
			if ext := filepath.Ext(p); err == nil && d.Type().IsRegular() && (ext == ".yaml" || ext == ".yml") {
				files = append(files, p)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var objects []*unstructured.Unstructured
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		read, _ := ssautil.ReadObjects(bytes.NewReader(raw))
		objects = append(objects, read...)
	}
	unknown := 0
	for _, u := range append(objects, everyKind()...) {
		unknown += normalisesAsFlux(t, u)
	}
	t.Logf("%d objects of %d files, %d unknown fields", len(objects), len(files), unknown)
}

func normalisesAsFlux(t *testing.T, u *unstructured.Unstructured) (unknown int) {
	t.Helper()
	doc, err := yaml.Marshal(u.Object)
	if err != nil {
		t.Fatal(err)
	}
	ks := plainKustomization("")
	result, err := new(build.Cache).Build(build.Bundle{FS: oneFile(doc)}, ks, build.Values{}, build.Options{})
	if err != nil {
		if deliberate(err) == "" && !strings.HasPrefix(err.Error(), "kustomize build failed") {
			t.Errorf("%s: %v", u.GetName(), err)
		}
		return 0
	}
	if len(result.Objects) == 0 {
		return 0
	}
	built, err := build.Run(oneFile(doc), ".")
	if err != nil {
		t.Fatal(err)
	}
	doc, err = built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	want, err := ssautil.ReadObjects(bytes.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	ssa.NewResourceManager(nil, nil, ssa.Owner{Group: kustomizev1.GroupVersion.Group}).SetOwnerLabels(want, ks.Name, ks.Namespace)
	if err := normalize.UnstructuredList(want); err != nil {
		t.Fatal(err)
	}
	for _, w := range want {
		ssautil.RemoveCABundleFromCRD(w)
	}
	if diff := cmp.Diff(contentOf(want), contentOf(result.Objects)); diff != "" {
		t.Errorf("%s %s (-Flux +ours):\n%s", u.GroupVersionKind(), u.GetName(), diff)
	}
	return len(result.Unknown)
}

// everyKind has an object of each kind of client-go's scheme, with a field
// that none of them has.
func everyKind() []*unstructured.Unstructured {
	var list []*unstructured.Unstructured
	for gvk := range scheme.Scheme.AllKnownTypes() {
		if obj, err := scheme.Scheme.New(gvk); err == nil {
			if _, ok := obj.(metav1.Object); !ok || gvk.Version == runtime.APIVersionInternal {
				continue
			}
		}
		u := &unstructured.Unstructured{Object: map[string]any{"strange": "field", "metadata": map[string]any{"name": "x"}}}
		u.SetGroupVersionKind(gvk)
		list = append(list, u)
	}
	return list
}

func oneFile(doc []byte) fs.FS { return fstest.MapFS{"object.yaml": {Data: doc}} }
