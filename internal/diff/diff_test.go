package diff

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"
)

func read(t testing.TB, text string) *unstructured.Unstructured {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(append(raw[:1:1], append([]byte(`"apiVersion":"v1","kind":"Thing",`), raw[1:]...)...)); err != nil {
		t.Fatal(err)
	}
	return u
}

func TestFields(t *testing.T) {
	for name, tc := range map[string]struct {
		live, merged string
		want         []string
	}{
		"a scalar":                 {"spec: {a: 1}", "spec: {a: 2}", []string{".spec.a: 1 -> 2"}},
		"a field more":             {"spec: {}", "spec: {a: x}", []string{".spec.a: <nil> -> x"}},
		"a map more, leaf by leaf": {"spec: {}", "spec: {a: {b: 1, c: 2}}", []string{".spec.a.b: <nil> -> 1", ".spec.a.c: <nil> -> 2"}},
		"an empty map more":        {"spec: {}", "spec: {a: {}}", []string{".spec.a: <nil> -> map[]"}},
		"a field less":             {"spec: {a: x}", "spec: {}", []string{".spec.a: x -> <nil>"}},
		"a key that needs quoting": {"metadata: {annotations: {}}", "metadata: {annotations: {kubernetes.io/x: z}}", []string{".metadata.annotations[kubernetes.io/x]: <nil> -> z"}},
		"an element by name": {"spec: {containers: [{name: side}, {name: app, image: a}]}", "spec: {containers: [{name: side}, {name: app, image: b}]}",
			[]string{".spec.containers[name=app].image: a -> b"}},
		"an element more and one less": {"spec: {env: [{name: a}, {name: b}]}", "spec: {env: [{name: b}, {name: c}]}",
			[]string{".spec.env[name=a].name: a -> <nil>", ".spec.env[name=c]: <nil> -> map[name:c]"}},
		"only the order": {"spec: {env: [{name: a}, {name: b}]}", "spec: {env: [{name: b}, {name: a}]}",
			[]string{".spec.env: [name=a name=b] -> [name=b name=a]"}},
		"ports of a container": {"spec: {ports: [{containerPort: 80, name: x}, {containerPort: 81}]}", "spec: {ports: [{containerPort: 80, name: z}, {containerPort: 81, protocol: TCP}]}",
			[]string{".spec.ports[containerPort=80,protocol=TCP].name: x -> z", ".spec.ports[containerPort=81,protocol=TCP].protocol: <nil> -> TCP"}},
		"ports of a service": {"spec: {ports: [{port: 53, protocol: TCP, nodePort: 1}, {port: 53, protocol: UDP}]}", "spec: {ports: [{port: 53, protocol: TCP, nodePort: 2}, {port: 53, protocol: UDP}]}",
			[]string{".spec.ports[port=53,protocol=TCP].nodePort: 1 -> 2"}},
		"mounts, whose names repeat": {"spec: {volumeMounts: [{name: v, mountPath: /a}, {name: v, mountPath: /b}]}", "spec: {volumeMounts: [{name: v, mountPath: /a, readOnly: true}, {name: v, mountPath: /b}]}",
			[]string{".spec.volumeMounts[mountPath=/a].readOnly: <nil> -> true"}},
		"scalars by place":             {"spec: {args: [a, b]}", "spec: {args: [a, c, d]}", []string{".spec.args[1]: b -> c", ".spec.args[2]: <nil> -> d"}},
		"what the server keeps":        {"metadata: {uid: a, resourceVersion: '1', generation: 1, managedFields: []}\nstatus: {a: 1}", "metadata: {uid: b, resourceVersion: '2', generation: 2}\nstatus: {a: 2}", nil},
		"a map in the place of a text": {"spec: {a: x}", "spec: {a: {b: 1}}", []string{".spec.a: x -> map[b:1]"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, c := range Fields(read(t, tc.live), read(t, tc.merged)) {
				got = append(got, fmt.Sprintf("%s: %v -> %v", c.Path, c.Old, c.New))
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestSecretsAreMasked(t *testing.T) {
	secret := func(text string) *unstructured.Unstructured {
		u := read(t, text)
		u.SetKind("Secret")
		return u
	}
	live := secret("metadata: {annotations: {kubectl.kubernetes.io/last-applied-configuration: hush, other: a}}\ndata: {old: hush, same: hush, changed: hush}\ntype: a")
	merged := secret("metadata: {annotations: {other: b}}\ndata: {same: hush, changed: hush2, new: hush}\nstringData: {x: hush}\ntype: b")
	for name, changes := range map[string][]Change{"update": Fields(live, merged), "create": Fields(nil, merged), "delete": Fields(live, nil), "odd": Fields(live, secret("data: hush"))} {
		shown := fmt.Sprint(changes)
		if strings.Contains(shown, "hush") || !strings.Contains(shown, Masked) {
			t.Errorf("%s: %s", name, shown)
		}
	}
	got := map[string]Change{}
	for _, c := range Fields(live, merged) {
		got[c.Path] = c
	}
	want := map[string]Change{
		".metadata.annotations[kubectl.kubernetes.io/last-applied-configuration]": {Old: Masked},
		".metadata.annotations.other": {Old: "a", New: "b"},
		".data.old":                   {Old: Masked}, ".data.changed": {Old: Masked, New: Masked}, ".data.new": {New: Masked},
		".stringData.x": {New: Masked}, ".type": {Old: "a", New: "b"},
	}
	for path, c := range want {
		c.Path = path
		want[path] = c
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func someValue(depth int) *rapid.Generator[any] {
	scalar := rapid.OneOf(rapid.Map(rapid.SampledFrom([]string{"a", "b", "hush"}), func(s string) any { return s }),
		rapid.Map(rapid.Int64Range(0, 2), func(i int64) any { return i }))
	if depth == 0 {
		return scalar
	}
	key := rapid.SampledFrom([]string{"name", "port", "x", "a/b", "data"})
	return rapid.OneOf(scalar,
		rapid.Map(rapid.MapOfN(key, someValue(depth-1), 0, 3), func(m map[string]any) any { return m }),
		rapid.Map(rapid.SliceOfN(someValue(depth-1), 0, 3), func(l []any) any { return l }))
}

func someObject(t *rapid.T, label string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{"kind": "Thing", "spec": someValue(3).Draw(t, label)}}
}

// There is a change exactly where something differs, and each time the same.
func TestFieldsSayAllAndOnlyWhatDiffers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := someObject(t, "live"), someObject(t, "merged")
		changes := Fields(a, b)
		if equal := apiequality.Semantic.DeepEqual(a.Object, b.Object); equal != (len(changes) == 0) {
			t.Fatalf("equal %v, changes %v", equal, changes)
		}
		if d := cmp.Diff(changes, Fields(a.DeepCopy(), b.DeepCopy())); d != "" {
			t.Fatal(d)
		}
		for _, c := range changes {
			if apiequality.Semantic.DeepEqual(c.Old, c.New) {
				t.Fatalf("%+v changes nothing", c)
			}
		}
	})
}

// Laying an object over another leaves nothing of it to be set.
func TestOverlaySetsWhatIsWanted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		live, desired := someObject(t, "live"), someObject(t, "desired")
		before := live.DeepCopy()
		merged := Overlay(live, desired)
		if d := cmp.Diff(before.Object, live.Object); d != "" {
			t.Fatalf("the live object was changed: %s", d)
		}
		if again := Overlay(merged, desired); len(Fields(merged, again)) > 0 {
			t.Fatalf("laid over twice it differs: %v", Fields(merged, again))
		}
	})
}
