package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sluice-dev/sluice/internal/build"
	"github.com/sluice-dev/sluice/internal/fleet"
	"github.com/sluice-dev/sluice/internal/object"
)

const infraExample = "../../examples/infra"

// delivery is everything that one cluster of an example gets, built as the
// controller builds it.
type delivery struct {
	*testing.T
	example
	vars           map[string]string
	kustomizations map[string]*kustomizev1.Kustomization // by namespace/name
	sources        map[string]*sourcev1.OCIRepository
	built          map[string][]*unstructured.Unstructured // by Kustomization
}

func deliverExample(t *testing.T, e example, c fleet.Cluster) *delivery {
	t.Helper()
	r := e.root(c, "registry.example")
	d := &delivery{
		T: t, example: e, vars: r.vars.Data,
		kustomizations: map[string]*kustomizev1.Kustomization{}, built: map[string][]*unstructured.Unstructured{},
		sources: map[string]*sourcev1.OCIRepository{r.source.Namespace + "/" + r.source.Name: r.source},
	}
	d.build(r.all)
	return d
}

// build builds a Kustomization and all that come out of it.
func (d *delivery) build(ks *kustomizev1.Kustomization) {
	d.Helper()
	key := ks.Namespace + "/" + ks.Name
	d.kustomizations[key] = ks
	values := build.Values{}
	if ks.Spec.PostBuild != nil {
		values.Sources = []build.Source{{Kind: "ConfigMap", Name: clusterVars, Data: d.vars}}
	}
	result, err := build.NewCache(1<<20).Build(build.Bundle{FS: os.DirFS(d.directory(ks))}, ks, values, build.Options{Strict: true})
	if err != nil {
		d.Fatalf("%s: %v", key, err)
	}
	if len(result.Unknown) > 0 || len(result.Objects) == 0 {
		d.Errorf("%s: %d objects, unknown fields: %v", key, len(result.Objects), result.Unknown)
	}
	for i, p := range result.Patches {
		if p.Objects == 0 {
			d.Errorf("%s: patch %d is for nothing", key, i)
		}
	}
	d.built[key] = result.Objects
	var more []*kustomizev1.Kustomization
	for _, u := range result.Objects { // sources first: what comes out may need them
		switch u.GetKind() {
		case sourcev1.OCIRepositoryKind:
			o := convert[sourcev1.OCIRepository](d.T, u)
			d.sources[o.Namespace+"/"+o.Name] = o
		case kustomizev1.KustomizationKind:
			more = append(more, convert[kustomizev1.Kustomization](d.T, u))
		}
	}
	for _, k := range more {
		d.build(k)
	}
}

// directory is where the source of a Kustomization is made.
func (d *delivery) directory(ks *kustomizev1.Kustomization) string {
	d.Helper()
	o := d.sources[ks.Namespace+"/"+ks.Spec.SourceRef.Name]
	if o == nil {
		d.Fatalf("%s/%s: no source %s", ks.Namespace, ks.Name, ks.Spec.SourceRef.Name)
	}
	s, found := d.Find(o.Spec.URL, d.vars)
	if !found {
		d.Fatalf("%s does not say where %s is made", fleet.File, o.Spec.URL)
	}
	return d.path(s)
}

func convert[T any](t *testing.T, u *unstructured.Unstructured) *T {
	t.Helper()
	var typed T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &typed); err != nil {
		t.Fatalf("%s: %v", object.IDOf(u), err)
	}
	return &typed
}

func openInfra(t *testing.T) example {
	t.Helper()
	e, err := openExample(infraExample)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Everything that a cluster of the example gets builds, from what sluice.yaml
// names, and holds together.
func TestTheExampleHoldsTogether(t *testing.T) {
	e := openInfra(t)
	for _, c := range e.Clusters {
		t.Run(c.Name, func(t *testing.T) {
			d := deliverExample(t, e, c)
			for key, ks := range d.kustomizations {
				for _, need := range ks.Spec.DependsOn {
					if peer := namespaceOr(need.Namespace, ks.Namespace) + "/" + need.Name; d.kustomizations[peer] == nil {
						t.Errorf("%s needs %s, which is not there", key, peer)
					}
				}
				for _, h := range ks.Spec.HealthChecks {
					if !slices.ContainsFunc(d.built[key], func(u *unstructured.Unstructured) bool {
						return u.GetKind() == h.Kind && u.GetName() == h.Name && u.GetNamespace() == h.Namespace
					}) {
						t.Errorf("%s waits for the health of %s %s, which it does not apply", key, h.Kind, h.Name)
					}
				}
				for _, h := range ks.Spec.HealthCheckExprs {
					if !slices.ContainsFunc(d.built[key], func(u *unstructured.Unstructured) bool {
						return u.GetKind() == h.Kind && u.GetAPIVersion() == h.APIVersion
					}) {
						t.Errorf("%s has a health expression for %s, which it does not apply", key, h.Kind)
					}
				}
				for _, u := range d.built[key] {
					if text := fmt.Sprint(u.Object); strings.Contains(text, "${") {
						t.Errorf("%s: %s has a variable without a value: %s", key, object.IDOf(u), text)
					}
				}
			}
		})
	}
}

func namespaceOr(namespace, fallback string) string {
	if namespace == "" {
		return fallback
	}
	return namespace
}

// What the environments have in common and what not.
func TestTheExampleDiffersByEnvironment(t *testing.T) {
	e := openInfra(t)
	type summary struct {
		Kustomizations []string
		Semver, Filter string
		Replicas       int64
	}
	chain := []string{
		"activity-apiserver", "activity-observability", "activity-processor", "activity-system", "activity-ui", "clickhouse-database",
		"clickhouse-keeper", "clickhouse-migrations", "clickhouse-operator", "infra", "monitoring",
	}
	want := map[string]summary{
		"staging":    {append([]string{"activity-load-generator"}, chain...), ">=0.0.0-0", ".*-staging-test-deploy-.*", 1},
		"production": {chain, ">=0.0.0", "", 3},
	}
	for _, c := range e.Clusters {
		d, got := deliverExample(t, e, c), summary{}
		for _, ks := range d.kustomizations {
			got.Kustomizations = append(got.Kustomizations, ks.Name)
		}
		slices.Sort(got.Kustomizations)
		ref := d.sources[activityNamespace+"/"+activitySource].Spec.Reference
		got.Semver, got.Filter = ref.SemVer, ref.SemverFilter
		for _, u := range d.built[activityNamespace+"/"+apiserver] {
			if u.GetKind() == "Deployment" {
				got.Replicas, _, _ = unstructured.NestedInt64(u.Object, "spec", "replicas")
			}
		}
		slices.Sort(want[c.Name].Kustomizations)
		if diff := cmp.Diff(want[c.Name], got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.Name, diff)
		}
	}
}

// What is wrong with an example is said before anything starts.
func TestUpSaysWhatIsWrongWithAnExample(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		args []string
		code int
		want string
	}{
		"no file":           {"", nil, NotFound, "has no sluice.yaml"},
		"a bad field":       {"repository: oci://r.example/infra\nclusters:\n- nam: x\n", nil, Negative, `sluice.yaml:3: a cluster has no field "nam"`},
		"a lost directory":  {"repository: oci://r.example/infra\nclusters: [{name: a, path: .}]\nsources: [{url: oci://r.example/app, path: gone}]\n", nil, NotFound, "gone is no directory"},
		"an unknown name":   {"repository: oci://r.example/infra\nclusters: [{name: a, path: .}]\n", []string{"--clusters", "b"}, Usage, "the example has no cluster b, but a"},
		"nobody to deliver": {"repository: oci://r.example/infra\nclusters: [{name: a, path: .}]\n", []string{"--no-controllers"}, Usage, "--example needs the controllers"},
	} {
		dir := t.TempDir()
		if tc.text != "" {
			if err := os.WriteFile(filepath.Join(dir, fleet.File), []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var out bytes.Buffer
		code := Main(t.Context(), IO{
			Args: append([]string{"up", "--dir", filepath.Join(dir, "lab"), "--example", dir}, tc.args...),
			Out:  &out, Err: &out, Getenv: func(string) string { return "" },
		})
		if code != tc.code || !strings.Contains(out.String(), tc.want) {
			t.Errorf("%s: exit %d: %s", name, code, out.String())
		}
		if _, err := os.Stat(filepath.Join(dir, "lab")); err == nil {
			t.Errorf("%s: a lab was begun", name)
		}
	}
}

// The chain is the one that the service needs: each waits for the one before,
// and the first for what the platform brings.
func TestTheExampleIsAChain(t *testing.T) {
	chain := []string{
		"flux-system/clickhouse-operator", "activity-system/clickhouse-keeper", "activity-system/clickhouse-database",
		"activity-system/clickhouse-migrations", "activity-system/activity-apiserver", "activity-system/activity-processor", "activity-system/activity-ui",
	}
	e := openInfra(t)
	for _, c := range e.Clusters {
		d := deliverExample(t, e, c)
		for i := 1; i < len(chain); i++ {
			ks := d.kustomizations[chain[i]]
			if !slices.ContainsFunc(ks.Spec.DependsOn, func(n kustomizev1.DependencyReference) bool {
				return namespaceOr(n.Namespace, ks.Namespace)+"/"+n.Name == chain[i-1]
			}) {
				t.Errorf("in %s %s does not need %s", c.Name, chain[i], chain[i-1])
			}
		}
	}
}
