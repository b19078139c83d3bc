package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-dev/sluice/internal/deliver"
	"github.com/sluice-dev/sluice/internal/object"
	"github.com/sluice-dev/sluice/internal/plan"
)

var _ deliver.Target = (*Target)(nil)

// Target is a cluster as one identity sees it. It may be used for as long as its
// Clusters are open, by one run at a time.
type Target struct {
	c  *cluster
	s  *session
	id Identity

	mu     sync.Mutex
	wishes map[object.ID]string // digests of what was wanted when it was last observed
	blinds map[string]struct{}
}

func (c *cluster) target(id Identity) (*Target, error) {
	s, err := c.session(id.ServiceAccount)
	if err != nil {
		return nil, err
	}
	return &Target{c: c, s: s, id: id, wishes: map[object.ID]string{}, blinds: map[string]struct{}{}}, nil
}

// Unwatched lists the kinds, and where, of which no watch is allowed: their
// objects are asked for each time, and do not wake anybody.
func (t *Target) Unwatched() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Sorted(maps.Keys(t.blinds))
}

func (t *Target) blind(r resource, namespace string) {
	where := schema.GroupKind{Group: r.Group, Kind: r.kind}.String()
	if namespace != "" {
		where += " in " + namespace
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.blinds[where] = struct{}{}
}

// Kinds tells which of the objects' kinds nobody serves, or not now. The error
// is of a cluster that does not answer.
func (t *Target) Kinds(ctx context.Context, objects []*unstructured.Unstructured) (map[object.ID]error, error) {
	ctx = withOwner(ctx, t.id.Owner)
	unserved := map[object.ID]error{}
	for _, u := range objects {
		if _, err := t.find(ctx, u.GroupVersionKind(), t.id.Owner); err != nil {
			if t.isAway(err) || ctx.Err() != nil {
				return nil, err
			}
			unserved[object.IDOf(u)] = err
		}
	}
	return unserved, nil
}

// find gives the resource of a kind, and has the owner woken when there is one.
func (t *Target) find(ctx context.Context, kind schema.GroupVersionKind, owner plan.Owner) (resource, error) {
	r, err := t.c.served.find(ctx, kind)
	if meta.IsNoMatchError(err) && kind.Version != "" {
		t.c.kinds.await(kind, owner)
	}
	return r, plain(t.id.cluster(), err)
}

// findAny is find for objects that may have been written in a version that is
// not served any more.
func (t *Target) findAny(ctx context.Context, check deliver.Check, owner plan.Owner) (resource, error) {
	kind := check.GroupKind().WithVersion(check.Version)
	r, err := t.find(ctx, kind, owner)
	if meta.IsNoMatchError(err) && kind.Version != "" {
		if other, found := t.find(ctx, kind.GroupKind().WithVersion(""), owner); found == nil {
			return other, nil
		}
	}
	return r, err
}

func (t *Target) isAway(err error) bool {
	var away *Unreachable
	return errors.As(err, &away)
}

// failure words what went wrong with an object.
func (t *Target) failure(doing string, id object.ID, err error) error {
	return fmt.Errorf("%s %s: %w", doing, id, plain(t.id.cluster(), err))
}

// errNamespace is Flux's sentence, which it says when the server finds no path
// (fluxcd/pkg/ssa/errors/dry_run_err.go).
var errNamespace = errors.New("namespace not specified: set metadata.namespace, or spec.targetNamespace of the Kustomization")

func (t *Target) wish(id object.ID, digest string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wishes[id] = digest
}

func (t *Target) wished(id object.ID) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.wishes[id]
}

// each runs a function for all numbers below n, some at a time.
func each(n, some int, do func(i int)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, some)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			do(i)
		})
	}
	wg.Wait()
}
