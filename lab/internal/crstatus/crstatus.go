// Package crstatus stands in for the operators of custom resources: it gives
// objects the status that a rule says they get.
//
// In: built-in rules, rules in labelled ConfigMaps, CustomResourceDefinitions,
// and annotations of package steer on the objects. Out: patches of the objects'
// status, and Warning Events for mistakes. It must never change anything but a
// status, touch an object that no rule names, or let one broken rule stop others.
package crstatus

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"

	"github.com/sluice-dev/sluice/lab/internal/steer"
)

// Engine keeps one watch for each kind that has both a rule and a CRD.
type Engine struct {
	client    dynamic.Interface
	events    record.EventRecorder
	broadcast record.EventBroadcaster
	crds      cache.SharedIndexInformer
	configs   cache.SharedIndexInformer
	changed   workqueue.TypedRateLimitingInterface[string] // its one key means: look at rules and CRDs again
	running   sync.WaitGroup

	// Of the one worker of changed.
	watches map[schema.GroupKind]*watch
	told    map[types.UID]string
}

// Start returns when rules and CRDs are known; the engine ends with the context.
func Start(ctx context.Context, config *rest.Config) (*Engine, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client for custom resources: %w", err)
	}
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client for rules: %w", err)
	}
	e := &Engine{client: client, watches: map[schema.GroupKind]*watch{}, told: map[types.UID]string{},
		broadcast: record.NewBroadcaster(record.WithContext(ctx)),
		changed:   workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]())}
	e.broadcast.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: typed.CoreV1().Events("")})
	e.events = e.broadcast.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "sluice-lab"})

	e.crds = dynamicinformer.NewFilteredDynamicInformer(client,
		schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"},
		"", 0, cache.Indexers{}, nil).Informer()
	e.configs = informers.NewSharedInformerFactoryWithOptions(typed, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.LabelSelector = steer.RulesLabel + "=true"
	})).Core().V1().ConfigMaps().Informer()
	for informer, transform := range map[cache.SharedIndexInformer]cache.TransformFunc{e.crds: dropSchemas, e.configs: dropManagedFields} {
		if err := informer.SetTransform(transform); err != nil {
			return nil, fmt.Errorf("preparing the watch of rules: %w", err)
		}
		informer.AddEventHandler(onAnyChange(func(any) { e.changed.Add("rules") }))
		e.running.Go(func() { informer.RunWithContext(ctx) })
	}
	if !cache.WaitForCacheSync(ctx.Done(), e.crds.HasSynced, e.configs.HasSynced) {
		return nil, fmt.Errorf("reading rules and CRDs: %w", ctx.Err())
	}
	context.AfterFunc(ctx, e.changed.ShutDown)
	e.running.Go(func() { e.run(ctx) })
	return e, nil
}

// Wait returns when the engine has ended.
func (e *Engine) Wait() {
	e.running.Wait()
	e.broadcast.Shutdown()
}

func (e *Engine) run(ctx context.Context) {
	for {
		key, shutdown := e.changed.Get()
		if shutdown {
			return
		}
		e.settle(ctx)
		e.changed.Done(key)
	}
}

// settle brings the watches in line with rules and CRDs.
func (e *Engine) settle(ctx context.Context) {
	kinds := map[schema.GroupKind]kind{}
	for _, object := range e.crds.GetStore().List() {
		if k, ok := kindOf(object.(*unstructured.Unstructured)); ok {
			kinds[k.groupKind] = k
		}
	}
	byKind := map[schema.GroupKind][]Rule{}
	for _, rule := range e.rules(kinds) {
		gk := schema.GroupKind{Group: rule.Group, Kind: rule.Kind}
		byKind[gk] = append(byKind[gk], rule)
	}
	for gk, w := range e.watches {
		k, exists := kinds[gk]
		if rules := byKind[gk]; !exists || len(rules) == 0 || k.target(rules[0].Version) != w.target {
			w.stop()
			delete(e.watches, gk)
		}
	}
	for gk, rules := range byKind {
		k, exists := kinds[gk]
		switch w := e.watches[gk]; {
		case !exists:
		case w == nil:
			e.watches[gk] = e.startWatch(ctx, k.target(rules[0].Version), rules)
		default:
			w.setRules(rules)
		}
	}
}

// rules are the users' rules, in the order of their ConfigMaps' names, and then
// the built-in ones: the first that matches an object counts.
func (e *Engine) rules(kinds map[schema.GroupKind]kind) []Rule {
	var all []Rule
	configs := e.configs.GetStore().List()
	slices.SortFunc(configs, func(a, b any) int { return strings.Compare(nameOf(a), nameOf(b)) })
	present := map[types.UID]bool{}
	for _, object := range configs {
		config := object.(*corev1.ConfigMap)
		present[config.UID] = true
		rules, problems := rulesOf(config, kinds)
		all = append(all, rules...)
		e.tell(config, strings.Join(problems, "; "))
	}
	for uid := range e.told {
		if !present[uid] {
			delete(e.told, uid)
		}
	}
	return append(all, builtin()...)
}

// rulesOf reads one ConfigMap. A kind that does not exist is no mistake: its CRD
// may come later.
func rulesOf(config *corev1.ConfigMap, kinds map[schema.GroupKind]kind) (rules []Rule, problems []string) {
	keys := make([]string, 0, len(config.Data))
	for key := range config.Data {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		parsed, wrong := parse(config.Data[key])
		for _, problem := range wrong {
			problems = append(problems, key+": "+problem)
		}
		for _, rule := range parsed {
			if k, exists := kinds[schema.GroupKind{Group: rule.Group, Kind: rule.Kind}]; exists && !k.serves(rule.Version) {
				problems = append(problems, fmt.Sprintf("%s: %s of %s has no version %s; it serves %s",
					key, rule.Kind, rule.Group, rule.Version, strings.Join(k.versions, ", ")))
				continue
			}
			rules = append(rules, rule)
		}
	}
	return rules, problems
}

func (e *Engine) tell(config *corev1.ConfigMap, problems string) {
	if e.told[config.UID] == problems {
		return
	}
	e.told[config.UID] = problems
	if problems != "" {
		e.events.Event(config, corev1.EventTypeWarning, "LabStatusRules", problems)
	}
}

func nameOf(object any) string {
	key, _ := cache.MetaNamespaceKeyFunc(object)
	return key
}

func onAnyChange(f func(any)) cache.ResourceEventHandlerFuncs {
	return cache.ResourceEventHandlerFuncs{AddFunc: f, UpdateFunc: func(_, object any) { f(object) }, DeleteFunc: f}
}

func dropManagedFields(object any) (any, error) {
	if accessor, err := meta.Accessor(object); err == nil {
		accessor.SetManagedFields(nil)
	}
	return object, nil
}
