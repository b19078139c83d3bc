package delivertest

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// witness watches objects of the namespace and remembers every life they had.
type witness struct {
	mu   sync.Mutex
	uids map[string]map[string]bool // by "Kind/name"
	gone map[string]bool            // "Kind/name" that was deleted at some time
}

// kinds that a witness is asked about.
var (
	configMaps  = schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}
	accounts    = schema.GroupVersionKind{Version: "v1", Kind: "ServiceAccount"}
	pods        = schema.GroupVersionKind{Version: "v1", Kind: "Pod"}
	deployments = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}
	jobs        = schema.GroupVersionKind{Group: "batch", Version: "v1", Kind: "Job"}
)

// watch starts a witness that sees the test to its end.
func (w *world) watch(kinds ...schema.GroupVersionKind) *witness {
	w.Helper()
	seen := &witness{uids: map[string]map[string]bool{}, gone: map[string]bool{}}
	ctx, cancel := context.WithCancel(context.Background())
	w.Cleanup(cancel)
	for _, kind := range kinds {
		version, err := seen.list(ctx, w, kind)
		w.must(err)
		go seen.follow(ctx, w, kind, version)
	}
	return seen
}

func partial(kind schema.GroupVersionKind) *metav1.PartialObjectMetadataList {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(kind)
	return list
}

func (s *witness) list(ctx context.Context, w *world, kind schema.GroupVersionKind) (string, error) {
	list := partial(kind)
	if err := w.client.List(ctx, list, client.InNamespace(w.namespace)); err != nil {
		return "", err
	}
	for i := range list.Items {
		s.saw(kind.Kind, &list.Items[i], false)
	}
	return list.ResourceVersion, nil
}

// follow watches again and again: no life may be missed.
func (s *witness) follow(ctx context.Context, w *world, kind schema.GroupVersionKind, version string) {
	for ctx.Err() == nil {
		stream, err := w.client.Watch(ctx, partial(kind), client.InNamespace(w.namespace),
			&client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: version}})
		if err != nil {
			time.Sleep(100 * time.Millisecond) // until the server answers again
			continue
		}
		for e := range stream.ResultChan() {
			if o, ok := e.Object.(*metav1.PartialObjectMetadata); ok {
				version = o.ResourceVersion
				s.saw(kind.Kind, o, e.Type == watch.Deleted)
			} else if now, err := s.list(ctx, w, kind); err == nil {
				version = now // the old one is too old to watch from
			}
		}
	}
}

func (s *witness) saw(kind string, o *metav1.PartialObjectMetadata, gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := kind + "/" + o.Name
	if s.uids[name] == nil {
		s.uids[name] = map[string]bool{}
	}
	s.uids[name][string(o.UID)] = true
	if gone || o.DeletionTimestamp != nil {
		s.gone[name] = true
	}
}

// reborn lists what had more than one life.
func (s *witness) reborn() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name, uids := range s.uids {
		if len(uids) > 1 {
			names = append(names, fmt.Sprintf("%s lived %d times", name, len(uids)))
		}
	}
	sort.Strings(names)
	return names
}

// lost lists what was deleted although it should stay.
func (s *witness) lost(stays func(name string) bool) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name := range s.gone {
		if stays(name) {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}

// lives counts the lives of what has a prefix.
func (s *witness) lives(prefix string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for name, uids := range s.uids {
		if strings.HasPrefix(name, prefix) {
			n += len(uids)
		}
	}
	return n
}

// isNoKind tells whether a kind is not served.
func isNoKind(err error) bool { return apimeta.IsNoMatchError(err) || apierrors.IsNotFound(err) }
