package simulate

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

// loop brings one kind of object to its simulated state: level-based, one key at
// a time, retried with back-off.
type loop struct {
	name    string
	workers int
	queue   workqueue.TypedRateLimitingInterface[string]
	// sync looks at one object and says after how long to look again; zero means
	// when it changes.
	sync func(ctx context.Context, key string) (time.Duration, error)
}

func newLoop(name string, workers int) *loop {
	limits := workqueue.NewTypedItemExponentialFailureRateLimiter[string](20*time.Millisecond, 30*time.Second)
	return &loop{name: name, workers: workers, queue: workqueue.NewTypedRateLimitingQueue(limits)}
}

// on queues the object itself at each of its changes.
func (l *loop) on(informer cache.SharedIndexInformer) {
	l.onKey(informer, func(object any) string {
		key, _ := cache.DeletionHandlingMetaNamespaceKeyFunc(object)
		return key
	})
}

// onKey queues what the object's change concerns; "" is nothing.
func (l *loop) onKey(informer cache.SharedIndexInformer, keyOf func(any) string) {
	add := func(object any) {
		if key := keyOf(object); key != "" {
			l.queue.Add(key)
		}
	}
	informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: add, UpdateFunc: func(_, object any) { add(object) }, DeleteFunc: add,
	})
}

func (l *loop) run(ctx context.Context) {
	context.AfterFunc(ctx, l.queue.ShutDown)
	var workers sync.WaitGroup
	for range l.workers {
		workers.Go(func() {
			for l.next(ctx) {
			}
		})
	}
	workers.Wait()
}

func (l *loop) next(ctx context.Context) bool {
	key, shutdown := l.queue.Get()
	if shutdown {
		return false
	}
	defer l.queue.Done(key)
	again, err := l.sync(ctx, key)
	switch {
	case err != nil && ctx.Err() != nil, apierrors.IsNotFound(err):
		l.queue.Forget(key) // it is gone, or we are
	case err != nil:
		if !apierrors.IsConflict(err) {
			klog.ErrorS(err, "Simulating failed, trying again", "simulation", l.name, "object", key)
		}
		l.queue.AddRateLimited(key)
	default:
		l.queue.Forget(key)
		if again > 0 {
			l.queue.AddAfter(key, again)
		}
	}
	return true
}
