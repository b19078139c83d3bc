package report

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Watch shows a snapshot now and after every change, until see is done or
// fails, or the context ends: then its cause is returned. tick, if it is
// positive, bounds the time between two looks. A cluster that stops answering
// is waited for; the snapshot says so.
func Watch(ctx context.Context, c client.WithWatch, scope Scope, tick time.Duration, see func(Snapshot) (done bool, err error)) error {
	w, feeds, err := begin(ctx, c, scope)
	if err != nil {
		return err
	}
	inner, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	for _, f := range feeds {
		running.Go(func() { f.follow(inner) })
	}
	var clock <-chan time.Time
	if tick > 0 {
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		clock = ticker.C
	}
	for {
		if done, err := see(w.snapshot()); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-w.changed:
		case <-clock:
		}
	}
}

// world is what all feeds have brought.
type world struct {
	scope   Scope
	changed chan struct{}
	mu      sync.Mutex
	objects map[string]map[client.ObjectKey]client.Object
	lost    map[string]error
}

func newWorld(scope Scope) *world {
	return &world{scope: scope, changed: make(chan struct{}, 1), objects: map[string]map[client.ObjectKey]client.Object{}, lost: map[string]error{}}
}

func (w *world) change(f func()) {
	w.mu.Lock()
	f()
	w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default: // somebody is going to look already
	}
}

func (w *world) snapshot() Snapshot {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := Snapshot{Namespace: w.scope.Namespace}
	for _, k := range kinds {
		for _, o := range w.objects[k.kind] {
			if ks, ok := o.(*kustomizev1.Kustomization); ok {
				s.Kustomizations = append(s.Kustomizations, ks)
			} else {
				s.Sources = append(s.Sources, o)
			}
		}
		if s.Lost == nil {
			s.Lost = w.lost[k.kind]
		}
	}
	slices.SortFunc(s.Kustomizations, func(a, b *kustomizev1.Kustomization) int { return compareObjects(a, b) })
	slices.SortFunc(s.Sources, compareObjects)
	return s
}

// feed brings the objects of one kind.
type feed struct {
	client client.WithWatch
	kind   string
	list   func() client.ObjectList
	scope  Scope
	world  *world
	// version is where a watch goes on.
	version string
}

func (f *feed) options(raw *metav1.ListOptions) *client.ListOptions {
	o := &client.ListOptions{Namespace: f.scope.Namespace, Raw: raw}
	if f.scope.Name != "" {
		o.FieldSelector = fields.OneTermEqualSelector("metadata.name", f.scope.Name)
	}
	return o
}

func (f *feed) relist(ctx context.Context) error {
	list := f.list()
	if err := f.client.List(ctx, list, f.options(nil)); err != nil {
		return err
	}
	found := map[client.ObjectKey]client.Object{}
	if err := apimeta.EachListItem(list, func(item runtime.Object) error {
		if o, ok := item.(client.Object); ok {
			found[client.ObjectKeyFromObject(o)] = o
		}
		return nil
	}); err != nil {
		return err
	}
	f.version = list.GetResourceVersion()
	f.world.change(func() {
		f.world.objects[f.kind] = found
		delete(f.world.lost, f.kind)
	})
	return nil
}

// Pauses between tries to reach a cluster that does not answer.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 5 * time.Second
)

// follow watches until the context ends.
func (f *feed) follow(ctx context.Context) {
	pause := firstPause
	for ctx.Err() == nil {
		seen, err := f.watch(ctx)
		if seen {
			pause = firstPause
		}
		if err == nil && seen {
			continue // the server ends watches now and then
		}
		if err != nil && !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) && ctx.Err() == nil {
			f.world.change(func() { f.world.lost[f.kind] = err })
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, lastPause)
		if err != nil {
			_ = f.relist(ctx) // what it fails with, the next watch fails with
		}
	}
}

// watch takes in events until the stream ends; seen tells whether there were
// any. An error means that the place to go on from is lost.
func (f *feed) watch(ctx context.Context) (seen bool, err error) {
	stream, err := f.client.Watch(ctx, f.list(), f.options(&metav1.ListOptions{ResourceVersion: f.version, AllowWatchBookmarks: true}))
	if err != nil {
		return false, err
	}
	defer stream.Stop()
	for e := range stream.ResultChan() {
		if e.Type == watch.Error {
			return seen, fmt.Errorf("watching %s objects: %w", f.kind, apierrors.FromObject(e.Object))
		}
		o, ok := e.Object.(client.Object)
		if !ok {
			continue
		}
		seen, f.version = true, o.GetResourceVersion()
		if e.Type != watch.Bookmark {
			f.take(e.Type, o)
		}
	}
	return seen, nil
}

func (f *feed) take(what watch.EventType, o client.Object) {
	f.world.change(func() {
		delete(f.world.lost, f.kind)
		if what == watch.Deleted {
			delete(f.world.objects[f.kind], client.ObjectKeyFromObject(o))
		} else {
			f.world.objects[f.kind][client.ObjectKeyFromObject(o)] = o
		}
	})
}
