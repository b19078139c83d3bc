package cluster

import (
	"context"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// access remembers what identities may read, so that what the controller's
// watches learned is told to nobody else.
type access struct {
	mu      sync.Mutex
	granted map[watchKey]grant
}

type grant struct {
	allowed bool
	until   time.Time
}

// grantedFor is how long an answer is believed. Afterwards it still serves those
// who ask nobody, until it is renewed or taken back.
const grantedFor = 15 * time.Minute

func newAccess() *access { return &access{granted: map[watchKey]grant{}} }

var reviews = schema.GroupVersionResource{Group: "authorization.k8s.io", Version: "v1", Resource: "selfsubjectaccessreviews"}

// mayRead asks the cluster whether an identity may get the objects of a kind in
// a namespace. What it may get only by name counts as no.
func (a *access) mayRead(ctx context.Context, s *session, r resource, namespace string) bool {
	key := watchKey{r.GroupVersionResource, namespace, s.as}
	a.mu.Lock()
	g, found := a.granted[key]
	a.mu.Unlock()
	if found && time.Now().Before(g.until) {
		return g.allowed
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	review := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
		"spec": map[string]any{"resourceAttributes": map[string]any{
			"verb": "get", "group": r.Group, "version": r.Version, "resource": r.Resource, "namespace": namespace,
		}},
	}}
	answer, err := s.client.Resource(reviews).Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return false // the objects are asked for, and that error is told
	}
	allowed, _, _ := unstructured.NestedBool(answer.Object, "status", "allowed")
	a.mu.Lock()
	defer a.mu.Unlock()
	a.granted[key] = grant{allowed, time.Now().Add(grantedFor)}
	return allowed
}

// knownToRead is mayRead without asking anybody.
func (a *access) knownToRead(s *session, r resource, namespace string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.granted[watchKey{r.GroupVersionResource, namespace, s.as}].allowed
}
