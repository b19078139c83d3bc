package cluster_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/internal/cluster"
	"github.com/sluice-dev/sluice/internal/deliver"
	"github.com/sluice-dev/sluice/internal/labtest"
	"github.com/sluice-dev/sluice/internal/object"
	"github.com/sluice-dev/sluice/internal/plan"
)

// world is a namespace on a real API server, and clusters that reach it.
type world struct {
	testing.TB
	client    client.WithWatch
	namespace string
	owner     plan.Owner
	clusters  *cluster.Clusters
	requests  *requests
	woken     *wakes
}

func enter(t testing.TB, change ...func(*cluster.Options)) *world {
	t.Helper()
	config := labtest.Config(t)
	w := &world{TB: t, client: labtest.Client(t), requests: &requests{}, woken: &wakes{}}
	w.namespace = labtest.Namespace(t, w.client)
	w.owner = plan.Owner{Namespace: w.namespace, Name: "app"}
	config.Wrap(func(rt http.RoundTripper) http.RoundTripper { return w.requests.over(rt) })
	o := cluster.Options{Base: config, UserAgent: "test", Changed: w.woken.add}
	for _, c := range change {
		c(&o)
	}
	w.clusters = cluster.NewClusters(o)
	t.Cleanup(w.clusters.Close)
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) target(id cluster.Identity) *cluster.Target {
	w.Helper()
	if id.Owner.Name == "" {
		id.Owner = w.owner
	}
	target, err := w.clusters.Target(w.Context(), id)
	w.must(err)
	return target
}

// object reads one YAML document and marks it as the owner's; NS is the
// namespace of the world.
func (w *world) object(text string) *unstructured.Unstructured {
	w.Helper()
	u := &unstructured.Unstructured{}
	w.must(yaml.UnmarshalStrict([]byte(strings.ReplaceAll(text, "NS", w.namespace)), &u.Object))
	labels := u.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels["kustomize.toolkit.fluxcd.io/name"] = w.owner.Name
	labels["kustomize.toolkit.fluxcd.io/namespace"] = w.owner.Namespace
	u.SetLabels(labels)
	return u
}

func (w *world) configMap(name, value string) *unstructured.Unstructured {
	return w.object(fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: %s, namespace: NS}, data: {key: %q}}", name, value))
}

func (w *world) observe(target *cluster.Target, want ...*unstructured.Unstructured) map[object.ID]plan.Live {
	w.Helper()
	return w.ask(target, deliver.Ask{Want: want})
}

func (w *world) ask(target *cluster.Target, ask deliver.Ask) map[object.ID]plan.Live {
	w.Helper()
	ask.Owner = w.owner
	live, err := target.Observe(w.Context(), ask)
	w.must(err)
	return live
}

// deliver observes, plans and applies, and gives the plan.
func (w *world) deliver(target *cluster.Target, rules plan.Rules, want ...*unstructured.Unstructured) plan.Plan {
	w.Helper()
	p := plan.Compute(plan.Input{Owner: w.owner, Want: want, Rules: rules, Live: w.ask(target, deliver.Ask{Want: want, Rules: rules})})
	for _, stage := range p.Stages {
		for _, step := range stage.Steps {
			if !step.Action.Writes() {
				continue
			}
			_, err := target.Apply(w.Context(), step)
			w.must(err)
		}
	}
	return p
}

func actions(p plan.Plan) string {
	var words []string
	for _, stage := range p.Stages {
		for _, step := range stage.Steps {
			words = append(words, step.ID.Kind+" "+string(step.Action))
		}
	}
	return strings.Join(words, ", ")
}

func (w *world) eventually(what string, done func() bool) {
	w.Helper()
	deadline := time.Now().Add(labtest.Patience)
	for !done() {
		if time.Now().After(deadline) {
			w.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (w *world) live(like *unstructured.Unstructured) *unstructured.Unstructured {
	w.Helper()
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(like.GroupVersionKind())
	err := w.client.Get(w.Context(), client.ObjectKeyFromObject(like), u)
	if apierrors.IsNotFound(err) {
		return nil
	}
	w.must(err)
	return u
}

// patch changes an object as somebody else.
func (w *world) patch(like *unstructured.Unstructured, merge string) {
	w.Helper()
	w.must(w.client.Patch(w.Context(), like.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(merge)), client.FieldOwner("somebody")))
}

func one(w *world, live map[object.ID]plan.Live, u *unstructured.Unstructured) plan.Live {
	w.Helper()
	l, found := live[object.IDOf(u)]
	if !found {
		w.Fatalf("nothing was said of %s", object.IDOf(u))
	}
	return l
}

// requests counts what passes a connection.
type requests struct {
	mu   sync.Mutex
	list []string
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (q *requests) over(rt http.RoundTripper) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		q.mu.Lock()
		q.list = append(q.list, r.Method+" "+r.URL.Path+"?"+r.URL.RawQuery)
		q.mu.Unlock()
		return rt.RoundTrip(r)
	})
}

func (q *requests) reset() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = nil
}

// matching lists the requests that contain all of the words.
func (q *requests) matching(words ...string) []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var found []string
next:
	for _, r := range q.list {
		for _, word := range words {
			if !strings.Contains(r, word) {
				continue next
			}
		}
		found = append(found, r)
	}
	return found
}

// wakes counts who was told of changes.
type wakes struct {
	mu    sync.Mutex
	count map[plan.Owner]int
	names map[plan.Owner]map[string]bool
}

func (k *wakes) add(target string, owner plan.Owner) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.count == nil {
		k.count, k.names = map[plan.Owner]int{}, map[plan.Owner]map[string]bool{}
	}
	k.count[owner]++
	if k.names[owner] == nil {
		k.names[owner] = map[string]bool{}
	}
	k.names[owner][target] = true
}

// as lists the names under which an owner was told of clusters.
func (k *wakes) as(owner plan.Owner) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Sorted(maps.Keys(k.names[owner]))
}

func (k *wakes) of(owner plan.Owner) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.count[owner]
}

// kubeconfig makes a self-contained kubeconfig that leads where a config does.
func kubeconfig(t testing.TB, config *rest.Config, server string) []byte {
	t.Helper()
	ca := config.CAData
	if config.CAFile != "" {
		raw, err := os.ReadFile(config.CAFile)
		if err != nil {
			t.Fatal(err)
		}
		ca = raw
	}
	user := map[string]any{}
	if config.BearerToken != "" {
		user["token"] = config.BearerToken
	}
	if len(config.CertData) > 0 {
		user["client-certificate-data"], user["client-key-data"] = config.CertData, config.KeyData
	}
	raw, err := yaml.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"contexts": []any{map[string]any{"name": "c", "context": map[string]any{"cluster": "c", "user": "u"}}},
		"clusters": []any{map[string]any{"name": "c", "cluster": map[string]any{"server": server, "certificate-authority-data": ca}}},
		"users":    []any{map[string]any{"name": "u", "user": user}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

var kubectl = client.FieldOwner("kubectl-client-side-apply")

func background(w *world, u *unstructured.Unstructured) {
	w.Helper()
	policy := metav1.DeletePropagationBackground
	w.must(client.IgnoreNotFound(w.client.Delete(context.Background(), u.DeepCopy(), &client.DeleteOptions{PropagationPolicy: &policy})))
}

func idOf(name string, w *world) object.ID {
	return object.ID{Kind: "ConfigMap", Namespace: w.namespace, Name: name}
}
