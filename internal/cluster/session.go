package cluster

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"github.com/sluice-dev/sluice/internal/plan"
)

// resource is how a kind is asked for.
type resource struct {
	schema.GroupVersionResource
	kind       string
	namespaced bool
}

// session makes the requests of one identity, each with a deadline.
type session struct {
	client  dynamic.Interface
	timeout time.Duration
	as      string // the ServiceAccount; empty for nobody
}

func (s *session) at(r resource, namespace string) dynamic.ResourceInterface {
	if r.namespaced && namespace != "" {
		return s.client.Resource(r.GroupVersionResource).Namespace(namespace)
	}
	return s.client.Resource(r.GroupVersionResource)
}

func (s *session) get(ctx context.Context, r resource, key types.NamespacedName) (*unstructured.Unstructured, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.at(r, key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
}

// apply is the apply of an object, or only the try of it.
func (s *session) apply(ctx context.Context, r resource, object *unstructured.Unstructured, try bool) (*unstructured.Unstructured, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	object = scoped(r, object)
	body, err := json.Marshal(object.Object)
	if err != nil {
		return nil, err
	}
	force := true
	options := metav1.PatchOptions{FieldManager: plan.Manager, Force: &force}
	if try {
		options.DryRun = []string{metav1.DryRunAll}
	}
	return s.at(r, object.GetNamespace()).Patch(ctx, object.GetName(), types.ApplyPatchType, body, options)
}

// tryCreate asks what would become of an object if it were not there yet.
func (s *session) tryCreate(ctx context.Context, r resource, object *unstructured.Unstructured) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	object = scoped(r, object)
	_, err := s.at(r, object.GetNamespace()).Create(ctx, object,
		metav1.CreateOptions{FieldManager: plan.Manager, DryRun: []string{metav1.DryRunAll}})
	return err
}

func (s *session) patch(ctx context.Context, r resource, key types.NamespacedName, patch []byte) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	_, err := s.at(r, key.Namespace).Patch(ctx, key.Name, types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: plan.Manager})
	return err
}

func (s *session) remove(ctx context.Context, r resource, key types.NamespacedName, uid string) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	background := metav1.DeletePropagationBackground
	options := metav1.DeleteOptions{PropagationPolicy: &background}
	if uid != "" {
		only := types.UID(uid)
		options.Preconditions = &metav1.Preconditions{UID: &only}
	}
	return s.at(r, key.Namespace).Delete(ctx, key.Name, options)
}

func (s *session) list(ctx context.Context, r resource, namespace string, o metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.at(r, namespace).List(ctx, o)
}

// The server ends a watch after between five and ten minutes. If it does not,
// the connection is dead.
const (
	leastWatch = 5 * time.Minute
	watchGrace = 30 * time.Second
)

// watch opens a watch; cancel has to be called when it is over.
func (s *session) watch(ctx context.Context, r resource, namespace string, o metav1.ListOptions) (watch.Interface, context.CancelFunc, error) {
	last := leastWatch + rand.N(leastWatch)
	ctx, cancel := context.WithTimeout(ctx, last+watchGrace)
	seconds := int64(last.Seconds())
	o.TimeoutSeconds = &seconds
	o.AllowWatchBookmarks = true
	w, err := s.at(r, namespace).Watch(ctx, o)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	return w, cancel, nil
}

// scoped takes the namespace away from an object of a kind that has none.
func scoped(r resource, object *unstructured.Unstructured) *unstructured.Unstructured {
	if r.namespaced || object.GetNamespace() == "" {
		return object
	}
	object = object.DeepCopy()
	object.SetNamespace("")
	return object
}
