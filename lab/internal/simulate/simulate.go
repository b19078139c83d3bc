// Package simulate stands in for what a control plane needs and a laptop does
// not have: nodes with kubelets, a volume provisioner, a load balancer.
//
// In: a client of the API server, and the annotations of package steer. Out: the
// status of nodes, pods, volume claims and Services, as real components would
// report it. It must never start a container, never write a spec that a user
// owns (claims and nodes excepted, as on a real cluster), and be silent while
// nothing changes.
package simulate

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
)

// Simulator is the sum of the running simulations.
type Simulator struct {
	running sync.WaitGroup
	events  record.EventBroadcaster
}

// Options say what the simulated nodes call themselves.
type Options struct {
	KubeletVersion string
}

// Start returns when the caches are filled and the default StorageClass exists;
// the simulations end with the context.
func Start(ctx context.Context, client kubernetes.Interface, o Options) (*Simulator, error) {
	s := &Simulator{events: record.NewBroadcaster(record.WithContext(ctx))}
	s.events.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	recorder := s.events.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "sluice-lab"})

	kubelet, err := serveKubelet(ctx)
	if err != nil {
		return nil, err
	}
	if err := ensureStorageClass(ctx, client); err != nil {
		return nil, err
	}
	shared := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(dropManagedFields))
	loops := []*loop{
		nodeLoop(client, shared, nodeFacts{kubeletPort: kubelet, version: o.KubeletVersion}),
		podLoop(client, shared, recorder),
		claimLoop(client, shared, recorder),
		volumeLoop(client, shared),
		balancerLoop(client, shared),
	}
	shared.Start(ctx.Done())
	for kind, synced := range shared.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return nil, fmt.Errorf("filling the cache of %s: %w", kind, ctx.Err())
		}
	}
	for _, l := range loops {
		s.running.Go(func() { l.run(ctx) })
	}
	return s, nil
}

// Wait returns when the simulations have ended.
func (s *Simulator) Wait() {
	s.running.Wait()
	s.events.Shutdown()
}

func dropManagedFields(object any) (any, error) {
	if accessor, err := meta.Accessor(object); err == nil {
		accessor.SetManagedFields(nil)
	}
	return object, nil
}
