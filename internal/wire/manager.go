package wire

import (
	"errors"
	"fmt"
	"net/http"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// Scheme knows the kinds that the controller reads and writes.
func Scheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, sourcev1.AddToScheme, kustomizev1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(err) // generated code that contradicts itself
		}
	}
	return scheme
}

func newManager(config *rest.Config, o Options, configs labels.Selector) (manager.Manager, error) {
	lock, err := newLease(config, o)
	if err != nil {
		return nil, err
	}
	options := ctrl.Options{
		Scheme:                              Scheme(),
		Metrics:                             server.Options{BindAddress: o.MetricsAddr},
		HealthProbeBindAddress:              o.HealthAddr,
		LeaderElection:                      o.LeaderElection,
		LeaderElectionReleaseOnCancel:       o.ReleaseOnCancel,
		LeaderElectionNamespace:             o.Namespace,
		LeaderElectionResourceLockInterface: lock,
		LeaseDuration:                       &o.LeaseDuration,
		RenewDeadline:                       &o.RenewDeadline,
		RetryPeriod:                         &o.RetryTime,
		// Names are unique per process unless a test runs several.
		Controller: ctrlconfig.Controller{SkipNameValidation: ptr.To(true)},
		Client:     client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}}}},
		Cache: cache.Options{
			// Sources and Kustomizations of all shards are watched: what belongs
			// together may be in several.
			ByObject: map[client.Object]cache.ByObject{
				metadataOf("Secret"):    {Transform: onlyNames(configs)},
				metadataOf("ConfigMap"): {Label: configs, Transform: onlyNames(configs)},
			},
		},
	}
	if !o.AllNamespace {
		options.Cache.DefaultNamespaces = map[string]cache.Config{o.Namespace: {}}
	}
	mgr, err := ctrl.NewManager(config, options)
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	// Alive as long as it answers; ready only while it leads, so that a Service
	// never sends a consumer of artifacts to a replica that has none.
	leads := func(*http.Request) error {
		select {
		case <-mgr.Elected():
			return nil
		default:
			return errors.New("another replica leads")
		}
	}
	if err := errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("leader", leads)); err != nil {
		return nil, err
	}
	return mgr, nil
}

func metadataOf(kind string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: kind}}
}

// onlyNames drops everything of an object's metadata that is not needed to know
// that it changed, and whether that counts.
func onlyNames(configs labels.Selector) func(any) (any, error) {
	return func(o any) (any, error) {
		m, ok := o.(*metav1.PartialObjectMetadata)
		if !ok {
			return o, nil
		}
		if !configs.Matches(labels.Set(m.Labels)) {
			m.Labels = nil
		}
		m.Annotations, m.ManagedFields, m.OwnerReferences = nil, nil, nil
		return m, nil
	}
}
