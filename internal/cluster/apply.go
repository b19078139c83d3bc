package cluster

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/internal/plan"
)

// Apply does a step that creates or updates, and returns what the object became.
// A replacement only deletes and returns nil: when the object is gone, the owner
// is woken, and creating it is another step. Errors wrap those of the API
// server; a Conflict means that the object was changed after it was observed.
func (t *Target) Apply(ctx context.Context, step plan.Step) (*unstructured.Unstructured, error) {
	if step.Action == plan.Replace {
		return nil, t.Delete(ctx, step)
	}
	ctx = withOwner(ctx, t.id.Owner)
	r, err := t.find(ctx, step.Send.GroupVersionKind(), t.id.Owner)
	if err != nil {
		return nil, t.failure("applying", step.ID, err)
	}
	send := scoped(r, step.Send)
	if r.namespaced && send.GetNamespace() == "" {
		return nil, t.failure("applying", step.ID, errNamespace)
	}
	if len(step.Cleanup) > 0 {
		if err := t.s.patch(ctx, r, keyOf(send), step.Cleanup); err != nil {
			return nil, t.failure("taking over the fields of other managers of", step.ID, outdatedTest(r, step, err))
		}
	}
	writes := t.c.announce(r, send)
	live, err := t.s.apply(ctx, r, send, false)
	if err != nil {
		writes.done(nil, "")
		return nil, t.failure("applying", step.ID, err)
	}
	writes.done(live, t.wished(step.ID))
	t.redefined(live)
	return live, nil
}

// outdatedTest makes a conflict of a JSON patch that found another version than
// it was made for: the server calls that Invalid.
func outdatedTest(r resource, step plan.Step, err error) error {
	if !apierrors.IsInvalid(err) {
		return err
	}
	return apierrors.NewConflict(r.GroupResource(), step.ID.Name,
		fmt.Errorf("the object was changed meanwhile: %w", err))
}

// Delete deletes the object that the step was decided on, in the background. It
// is no error if that is gone, or another has its name.
func (t *Target) Delete(ctx context.Context, step plan.Step) error {
	ctx = withOwner(ctx, t.id.Owner)
	kind := step.ID.GroupKind().WithVersion(step.Version)
	r, err := t.c.served.find(ctx, kind)
	if meta.IsNoMatchError(err) && kind.Version != "" {
		r, err = t.c.served.find(ctx, kind.GroupKind().WithVersion(""))
	}
	if meta.IsNoMatchError(err) {
		return nil // it went with its definition
	}
	if err != nil {
		return t.failure("deleting", step.ID, err)
	}
	key := nameOf(step.ID)
	if !r.namespaced {
		key.Namespace = ""
	}
	err = t.s.remove(ctx, r, key, step.UID)
	if err == nil && step.ID.GroupKind() == definitionKind {
		t.c.served.forgetAll()
	}
	if err == nil || apierrors.IsNotFound(err) || step.UID != "" && apierrors.IsConflict(err) {
		return nil
	}
	return t.failure("deleting", step.ID, err)
}

// redefined looks again at what is served when a definition was written.
func (t *Target) redefined(live *unstructured.Unstructured) {
	if live.GroupVersionKind().GroupKind() == definitionKind {
		group, _, _ := unstructured.NestedString(live.Object, "spec", "group")
		t.c.served.forget(group)
	}
}

// writing is a write that the watches of a kind have been told of.
type writing []func(live *unstructured.Unstructured, desired string)

func (c *cluster) announce(r resource, send *unstructured.Unstructured) writing {
	var dones writing
	for _, w := range c.running(r) {
		if w.feed.namespace == "" || w.feed.namespace == send.GetNamespace() {
			dones = append(dones, w.write(keyOf(send)))
		}
	}
	return dones
}

func (w writing) done(live *unstructured.Unstructured, desired string) {
	for _, done := range w {
		done(live, desired)
	}
}
