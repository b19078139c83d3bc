package cluster

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
)

type groupKind = schema.GroupKind

// served knows what kinds a cluster serves. Each group and version is asked for
// by itself, so that a server behind the API server that is dead fails nobody
// else's kinds.
type served struct {
	client  discovery.DiscoveryInterfaceWithContext
	timeout time.Duration

	mu       sync.Mutex
	versions map[schema.GroupVersion]*listing
}

// listing is what is known of one group and version.
type listing struct {
	turn chan struct{} // held by who asks
	// The rest belongs to who holds the turn.
	asked time.Time
	kinds map[string]resource
	err   error

	forgotten atomic.Int64 // what was asked before this time (ns) is too old
}

func (l *listing) stale() bool { return l.asked.UnixNano() <= l.forgotten.Load() }

// missPause bounds how often a kind that is not there, or a group that fails, is
// asked for again.
const missPause = 3 * time.Second

func newServed(client discovery.DiscoveryInterfaceWithContext, timeout time.Duration) *served {
	return &served{client: client, timeout: timeout, versions: map[schema.GroupVersion]*listing{}}
}

// find gives the resource of a kind. A kind that nobody serves is a
// meta.NoKindMatchError.
func (s *served) find(ctx context.Context, gvk schema.GroupVersionKind) (resource, error) {
	if gvk.Version == "" {
		return s.anyVersion(ctx, gvk.GroupKind())
	}
	l := s.listing(gvk.GroupVersion())
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return resource{}, ctx.Err()
	}
	if r, found := l.kinds[gvk.Kind]; found && !l.stale() {
		return r, nil
	}
	if l.stale() || time.Since(l.asked) > missPause {
		if err := s.ask(ctx, gvk.GroupVersion(), l); err != nil {
			return resource{}, err
		}
	}
	if l.err != nil {
		return resource{}, l.err
	}
	if r, found := l.kinds[gvk.Kind]; found {
		return r, nil
	}
	return resource{}, &meta.NoKindMatchError{GroupKind: gvk.GroupKind(), SearchedVersions: []string{gvk.Version}}
}

func (s *served) listing(gv schema.GroupVersion) *listing {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.versions[gv]
	if l == nil {
		l = &listing{turn: make(chan struct{}, 1)}
		s.versions[gv] = l
	}
	return l
}

// ask asks the server. The error is that nothing was learned; what the server
// says of a group is kept with it.
func (s *served) ask(ctx context.Context, gv schema.GroupVersion, l *listing) error {
	asked := time.Now()
	bounded, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	list, err := s.client.ServerResourcesForGroupVersionWithContext(bounded, gv.String())
	switch status := apierrors.APIStatus(nil); {
	case err == nil:
		l.kinds, l.err = kindsOf(gv, list), nil
	case apierrors.IsNotFound(err):
		l.kinds, l.err = nil, nil
	case asStatus(err, &status):
		l.kinds, l.err = nil, fmt.Errorf("asking for the kinds of %s: %w", gv, err)
	default:
		return fmt.Errorf("asking for the kinds of %s: %w", gv, err)
	}
	l.asked = asked
	return nil
}

func kindsOf(gv schema.GroupVersion, list *metav1.APIResourceList) map[string]resource {
	kinds := make(map[string]resource, len(list.APIResources))
	for _, r := range list.APIResources {
		if strings.Contains(r.Name, "/") {
			continue // a subresource
		}
		kinds[r.Kind] = resource{GroupVersionResource: gv.WithResource(r.Name), kind: r.Kind, namespaced: r.Namespaced}
	}
	return kinds
}

// anyVersion finds a kind in the version that the server prefers, or else in
// any.
func (s *served) anyVersion(ctx context.Context, kind groupKind) (resource, error) {
	bounded, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	groups, err := s.client.ServerGroupsWithContext(bounded)
	if err != nil {
		return resource{}, fmt.Errorf("asking for the versions of %s: %w", kind, err)
	}
	none := &meta.NoKindMatchError{GroupKind: kind}
	for _, group := range groups.Groups {
		if group.Name != kind.Group {
			continue
		}
		versions := append([]metav1.GroupVersionForDiscovery{group.PreferredVersion}, group.Versions...)
		for _, version := range versions {
			r, err := s.find(ctx, kind.WithVersion(version.Version))
			if !meta.IsNoMatchError(err) {
				return r, err
			}
			none.SearchedVersions = append(none.SearchedVersions, version.Version)
		}
	}
	return resource{}, none
}

// forget makes all that is known of a group too old: a definition changed.
func (s *served) forget(group string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for gv, l := range s.versions {
		if gv.Group == group {
			l.forgotten.Store(time.Now().UnixNano())
		}
	}
}

func (s *served) forgetAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.versions {
		l.forgotten.Store(time.Now().UnixNano())
	}
}

// recall gives what is known of a kind, and asks nobody.
func (s *served) recall(gvk schema.GroupVersionKind) (resource, bool) {
	l := s.listing(gvk.GroupVersion())
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	default:
		return resource{}, false // being asked for
	}
	r, found := l.kinds[gvk.Kind]
	return r, found
}
