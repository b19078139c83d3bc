package simulate

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// balancerLoop gives each Service of type LoadBalancer an address. Nothing listens there.
func balancerLoop(client kubernetes.Interface, shared informers.SharedInformerFactory) *loop {
	l := newLoop("load balancers", 1)
	lister := shared.Core().V1().Services().Lister()
	ips := newAddresses("172.19.0.0/16")
	l.on(shared.Core().V1().Services().Informer())
	l.sync = func(ctx context.Context, key string) (time.Duration, error) {
		namespace, name, _ := cache.SplitMetaNamespaceKey(key)
		service, err := lister.Services(namespace).Get(name)
		if err != nil {
			ips.release(key)
			return 0, nil
		}
		status := balancerStatus(service, func(before string) string { return ips.of(key, before) })
		if service.DeletionTimestamp != nil || equality.Semantic.DeepEqual(status, service.Status.LoadBalancer) {
			return 0, nil
		}
		service = service.DeepCopy()
		service.Status.LoadBalancer = status
		if _, err := client.CoreV1().Services(namespace).UpdateStatus(ctx, service, metav1.UpdateOptions{}); err != nil {
			return 0, fmt.Errorf("reporting the address of Service %s: %w", key, err)
		}
		return 0, nil
	}
	return l
}

// balancerStatus keeps an address, takes the one that the user wants, or asks for one.
func balancerStatus(service *corev1.Service, address func(before string) string) corev1.LoadBalancerStatus {
	if service.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return corev1.LoadBalancerStatus{}
	}
	ip := service.Spec.LoadBalancerIP
	if ip == "" {
		before := ""
		if was := service.Status.LoadBalancer.Ingress; len(was) > 0 {
			before = was[0].IP
		}
		ip = address(before)
	}
	mode := corev1.LoadBalancerIPModeVIP
	return corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: ip, IPMode: &mode}}}
}
