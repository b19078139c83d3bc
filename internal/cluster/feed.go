package cluster

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
)

// feed follows the objects of a kind: a list, a watch from there, and again. A
// page of a list is handed on before the next is asked for, so that no list is
// ever held as a whole.
type feed struct {
	session   *session
	outage    *outage
	resource  resource
	namespace string
	labels    string
	fields    string
	sink      sink
}

// sink takes what a feed brings.
type sink interface {
	// begin opens a list that is asked for now.
	begin(now time.Time) pages
	// event is one change; an object that is deleted or left the selection is in
	// its last state.
	event(kind watch.EventType, object *unstructured.Unstructured)
	// failed says that nothing could be learned: for now, or for good if the feed
	// ends with it.
	failed(err error, final bool)
}

// pages takes the pages of one list.
type pages interface {
	page(objects []unstructured.Unstructured)
	end(version string)
}

const (
	pageSize   = 500
	firstRetry = 500 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// run follows until the context ends, or the server says that there is nothing
// to follow: the kind is not served, or not ours to watch.
func (f *feed) run(ctx context.Context) {
	for pause := firstRetry; ctx.Err() == nil; {
		version, err := f.list(ctx)
		if err == nil {
			pause = firstRetry
			err = f.follow(ctx, version)
		}
		switch {
		case ctx.Err() != nil:
			return
		case apierrors.IsForbidden(err), apierrors.IsNotFound(err), apierrors.IsMethodNotSupported(err):
			f.sink.failed(err, true)
			return
		case apierrors.IsResourceExpired(err), apierrors.IsGone(err):
			continue
		}
		f.sink.failed(err, false)
		if !f.outage.answers(ctx, pause) {
			return
		}
		pause = min(2*pause, lastRetry)
	}
}

// list reads everything once. Any list of the kind may be read at any time: the
// sink knows what is newer.
func (f *feed) list(ctx context.Context) (version string, err error) {
	sink := f.sink.begin(time.Now())
	options := metav1.ListOptions{LabelSelector: f.labels, FieldSelector: f.fields, Limit: pageSize}
	for {
		page, err := f.session.list(ctx, f.resource, f.namespace, options)
		if err != nil {
			return "", fmt.Errorf("listing %s: %w", f.resource.kind, err)
		}
		sink.page(page.Items)
		if options.Continue = page.GetContinue(); options.Continue == "" {
			sink.end(page.GetResourceVersion())
			return page.GetResourceVersion(), nil
		}
	}
}

// follow watches from a version on, over as many connections as it takes; it
// returns why it cannot go on from there.
func (f *feed) follow(ctx context.Context, version string) error {
	for pause := firstRetry; ; {
		began := time.Now()
		last, err := f.watch(ctx, version)
		version = last
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && (!passing(err) || apierrors.IsUnauthorized(err)):
			return err
		case time.Since(began) > lastRetry:
			pause = firstRetry
		}
		if !f.outage.answers(ctx, pause) {
			return ctx.Err()
		}
		pause = min(2*pause, lastRetry)
	}
}

// watch reads one connection to its end.
func (f *feed) watch(ctx context.Context, version string) (string, error) {
	w, cancel, err := f.session.watch(ctx, f.resource, f.namespace,
		metav1.ListOptions{LabelSelector: f.labels, FieldSelector: f.fields, ResourceVersion: version})
	if err != nil {
		return version, fmt.Errorf("watching %s: %w", f.resource.kind, err)
	}
	defer cancel()
	defer w.Stop()
	for event := range w.ResultChan() {
		if event.Type == watch.Error {
			return version, fmt.Errorf("watching %s: %w", f.resource.kind, apierrors.FromObject(event.Object))
		}
		object, ok := event.Object.(*unstructured.Unstructured)
		if !ok {
			continue
		}
		version = object.GetResourceVersion()
		if event.Type != watch.Bookmark {
			f.sink.event(event.Type, object)
		}
	}
	return version, nil
}
