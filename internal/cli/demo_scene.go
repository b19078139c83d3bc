package cli

import (
	"context"
	"fmt"
	"sync"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// stage is a cluster of a lab with everything in it that the story is about, as
// watches bring it.
type stage struct {
	client.WithWatch
	name    string
	changed chan<- struct{}

	mu      sync.Mutex
	objects map[string]client.Object // by kind, namespace and name
	order   order
	paired  []string // images and configurations that the API server was seen with
	lost    error
}

// watched are the kinds that a stage keeps.
func watched() []client.ObjectList {
	return []client.ObjectList{
		&kustomizev1.KustomizationList{}, &sourcev1.OCIRepositoryList{}, &appsv1.DeploymentList{},
		&corev1.ConfigMapList{}, &policyv1.PodDisruptionBudgetList{},
	}
}

// open lists everything once and watches on until the context ends.
func (s *stage) open(ctx context.Context, running *sync.WaitGroup) error {
	s.objects = map[string]client.Object{}
	for _, list := range watched() {
		if err := s.list(ctx, list); err != nil {
			return err
		}
		running.Go(func() { s.follow(ctx, list) })
	}
	return nil
}

func (s *stage) list(ctx context.Context, list client.ObjectList) error {
	if err := s.List(ctx, list); err != nil {
		return fmt.Errorf("listing %T of %s: %w", list, s.name, err)
	}
	return apimeta.EachListItem(list, func(o runtime.Object) error {
		s.take(watch.Added, o.(client.Object))
		return nil
	})
}

// follow watches on from a list; a stream that ends is opened again where it
// ended.
func (s *stage) follow(ctx context.Context, list client.ObjectList) {
	version := list.GetResourceVersion()
	for ctx.Err() == nil {
		stream, err := s.Watch(ctx, list, &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: version}})
		if err != nil {
			s.lose(ctx, err)
			return
		}
		for e := range stream.ResultChan() {
			o, ok := e.Object.(client.Object)
			if !ok || e.Type == watch.Error {
				s.lose(ctx, fmt.Errorf("watching %T: %v", list, e.Object))
				stream.Stop()
				return
			}
			version = o.GetResourceVersion()
			s.take(e.Type, o)
		}
		stream.Stop()
	}
}

func (s *stage) lose(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	s.lost = err
	s.mu.Unlock()
	s.wake()
}

func (s *stage) wake() {
	select {
	case s.changed <- struct{}{}:
	default: // somebody is going to look already
	}
}

// take keeps what a watch brings. It is given every change, in order: what must
// never be seen is looked for here.
func (s *stage) take(what watch.EventType, o client.Object) {
	s.mu.Lock()
	if what == watch.Deleted {
		delete(s.objects, keyOf(o))
	} else {
		s.objects[keyOf(o)] = o
	}
	switch o := o.(type) {
	case *kustomizev1.Kustomization:
		s.order.see(o)
	case *appsv1.Deployment:
		s.pair(o)
	}
	s.mu.Unlock()
	s.wake()
}

func keyOf(o client.Object) string { return fmt.Sprintf("%T %s/%s", o, o.GetNamespace(), o.GetName()) }

// find gives an object of the story's namespace as it is known; nil if it is
// not there.
func find[T client.Object](s *stage, namespace, name string) T {
	s.mu.Lock()
	defer s.mu.Unlock()
	var none T
	if o, ok := s.objects[fmt.Sprintf("%T %s/%s", none, namespace, name)].(T); ok {
		return o
	}
	return none
}

// all gives every object of a kind.
func all[T client.Object](s *stage) []T {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []T
	for _, o := range s.objects {
		if o, ok := o.(T); ok {
			list = append(list, o)
		}
	}
	return list
}

// scene is all clusters of the story.
type scene struct {
	stages  map[string]*stage
	changed chan struct{}
}

// patience bounds each wait of the story: much longer than any takes.
const patience = 2 * time.Minute

// until waits for as long as something is missing; every change wakes it.
func (s *scene) until(ctx context.Context, missing func() string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("after %s", patience))
	defer cancel()
	for {
		what := missing()
		for _, st := range s.stages {
			st.mu.Lock()
			lost := st.lost
			st.mu.Unlock()
			if lost != nil {
				return fmt.Errorf("in %s: %w", st.name, lost)
			}
		}
		if what == "" {
			return nil
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			return fmt.Errorf("%w: %s", context.Cause(ctx), what)
		}
	}
}
