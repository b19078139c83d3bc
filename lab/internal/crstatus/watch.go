package crstatus

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"github.com/sluice-dev/sluice/lab/internal/steer"
)

// watch drives the objects of one kind along their courses.
type watch struct {
	target   target
	client   dynamic.Interface
	events   record.EventRecorder
	informer cache.SharedIndexInformer
	queue    workqueue.TypedRateLimitingInterface[string]
	stop     context.CancelFunc

	mu    sync.Mutex
	rules []Rule
	key   string // of the rules

	// Of the one worker.
	courses map[types.UID]*course
	uids    map[string]types.UID
	told    map[types.UID]string
}

func (e *Engine) startWatch(ctx context.Context, t target, rules []Rule) *watch {
	ctx, stop := context.WithCancel(ctx)
	limits := workqueue.NewTypedItemExponentialFailureRateLimiter[string](20*time.Millisecond, 10*time.Second)
	w := &watch{target: t, client: e.client, events: e.events, stop: stop,
		queue:    workqueue.NewTypedRateLimitingQueue(limits),
		informer: dynamicinformer.NewFilteredDynamicInformer(e.client, t.resource, "", 0, cache.Indexers{}, nil).Informer(),
		courses:  map[types.UID]*course{}, uids: map[string]types.UID{}, told: map[types.UID]string{}}
	w.setRules(rules)
	w.informer.SetTransform(dropManagedFields) // fails only once it runs
	w.informer.AddEventHandler(onAnyChange(func(object any) {
		if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object); err == nil {
			w.queue.Add(key)
		}
	}))
	context.AfterFunc(ctx, w.queue.ShutDown)
	e.running.Go(func() { w.informer.RunWithContext(ctx) })
	e.running.Go(func() { w.run(ctx) })
	return w
}

// setRules looks at all objects again if the rules are others than before.
func (w *watch) setRules(rules []Rule) {
	key := ""
	for _, rule := range rules {
		key += rule.key()
	}
	w.mu.Lock()
	same := w.key == key
	w.rules, w.key = rules, key
	w.mu.Unlock()
	if same {
		return
	}
	for _, key := range w.informer.GetStore().ListKeys() {
		w.queue.Add(key)
	}
}

func (w *watch) ruleFor(object *unstructured.Unstructured) (Rule, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, rule := range w.rules {
		if rule.matches(object.GetLabels(), object.GetAnnotations()) {
			return rule, true
		}
	}
	return Rule{}, false
}

func (w *watch) run(ctx context.Context) {
	for {
		key, shutdown := w.queue.Get()
		if shutdown {
			return
		}
		again, err := w.sync(ctx, key)
		switch {
		case err == nil, apierrors.IsNotFound(err), ctx.Err() != nil:
			w.queue.Forget(key)
			if again > 0 {
				w.queue.AddAfter(key, again)
			}
		default:
			if !apierrors.IsConflict(err) {
				klog.ErrorS(err, "Giving a status failed, trying again", "resource", w.target.resource, "object", key)
			}
			w.queue.AddRateLimited(key)
		}
		w.queue.Done(key)
	}
}

// sync takes the steps of an object that are due and says when the next one is.
func (w *watch) sync(ctx context.Context, key string) (time.Duration, error) {
	item, exists, _ := w.informer.GetStore().GetByKey(key)
	if !exists {
		w.forget(key)
		return 0, nil
	}
	object := item.(*unstructured.Unstructured)
	rule, found := w.ruleFor(object)
	if !found || object.GetDeletionTimestamp() != nil {
		return 0, nil
	}
	w.uids[key] = object.GetUID()
	wish, problems := steer.Read(object.GetAnnotations(), steer.ResourceBehaviors)
	w.tell(object, strings.Join(problems, "; "))

	steps := stepsFor(rule, wish)
	if len(steps) == 0 {
		return 0, nil
	}
	now := time.Now()
	f := facts{generation: object.GetGeneration(), name: object.GetName(), namespace: object.GetNamespace(), now: now}
	status := object.Object["status"]
	c := begin(w.courses[object.GetUID()],
		course{generation: f.generation, key: rule.key() + wish.Key(), since: now},
		holds(steps[len(steps)-1].Status, status, f, !w.target.hasStatus), len(steps))
	w.courses[object.GetUID()] = c
	if c.done >= len(steps) {
		return 0, nil
	}
	step := steps[c.done]
	if rest := time.Duration(step.After) - now.Sub(c.since); rest > 0 {
		return rest, nil
	}
	if !holds(step.Status, status, f, false) {
		patched, err := w.patch(ctx, object, render(step.Status, f))
		if err != nil {
			return 0, err
		}
		// Without a status subresource our own write is a new generation.
		c.generation = patched.GetGeneration()
	}
	c.done++
	if c.done == len(steps) {
		return 0, nil
	}
	return max(time.Millisecond, time.Duration(steps[c.done].After)-now.Sub(c.since)), nil
}

// patch writes only if the object is still the one that was looked at.
func (w *watch) patch(ctx context.Context, object *unstructured.Unstructured, status any) (*unstructured.Unstructured, error) {
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": object.GetUID(), "resourceVersion": object.GetResourceVersion()},
		"status":   status,
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the status of %s %s: %w", w.target.resource.Resource, object.GetName(), err)
	}
	var subresources []string
	if w.target.hasStatus {
		subresources = []string{"status"}
	}
	patched, err := w.client.Resource(w.target.resource).Namespace(object.GetNamespace()).
		Patch(ctx, object.GetName(), types.MergePatchType, body, metav1.PatchOptions{FieldManager: "sluice-lab"}, subresources...)
	if err != nil {
		return nil, fmt.Errorf("patching the status of %s %s/%s: %w", w.target.resource.Resource, object.GetNamespace(), object.GetName(), err)
	}
	return patched, nil
}

func (w *watch) forget(key string) {
	uid := w.uids[key]
	delete(w.uids, key)
	delete(w.courses, uid)
	delete(w.told, uid)
}

func (w *watch) tell(object *unstructured.Unstructured, problems string) {
	uid := object.GetUID()
	if w.told[uid] == problems {
		return
	}
	w.told[uid] = problems
	if problems != "" {
		w.events.Event(object, corev1.EventTypeWarning, "LabSteering", problems)
	}
}
