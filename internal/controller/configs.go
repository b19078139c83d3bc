package controller

import (
	"context"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// configChanged starts a roll-out of what refers to a changed ConfigMap or
// Secret. Only those with the label count, as in Flux, except for kubeconfigs.
func (r *Kustomizations) configChanged(kind string) handler.EventHandler {
	changed := func(ctx context.Context, o client.Object) {
		if r.Configs.Matches(labels.Set(o.GetLabels())) {
			r.nudge(ctx, o.GetNamespace(), kind+"/"+o.GetName())
		}
		if kind == "Secret" {
			r.nudge(ctx, o.GetNamespace(), "*Secret/"+o.GetName())
		}
	}
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, _ queue) {
			if !e.IsInInitialList {
				changed(ctx, e.Object)
			}
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, _ queue) {
			if e.ObjectNew.GetResourceVersion() != e.ObjectOld.GetResourceVersion() {
				changed(ctx, e.ObjectNew)
			}
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, _ queue) { changed(ctx, e.Object) },
	}
}

func (r *Kustomizations) nudge(ctx context.Context, namespace, key string) {
	for _, req := range r.indexed(ctx, configsIndex, key, namespace) {
		r.all.of(req).nudge()
		r.all.call(req, 0)
	}
}
