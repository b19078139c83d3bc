package lab

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/crd"
)

// FluxNamespace is where people expect Flux's objects.
const FluxNamespace = "flux-system"

// prepare makes a cluster ready for a controller: Flux's CRDs and namespace.
func (s *supervisor) prepare(ctx context.Context, i int) error {
	s.mu.Lock()
	kubeconfig, name := s.lab.Clusters[i].Kubeconfig, s.lab.Clusters[i].Name
	s.mu.Unlock()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS = -1
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	if err := install(ctx, c); err != nil {
		return fmt.Errorf("preparing cluster %s: %w", name, err)
	}
	s.say("cluster-" + name + " has Flux's CRDs")
	return nil
}

func install(ctx context.Context, c client.Client) error {
	definitions, err := crd.Definitions()
	if err != nil {
		return err
	}
	for _, d := range definitions {
		live := &apiextensionsv1.CustomResourceDefinition{}
		err := c.Get(ctx, client.ObjectKeyFromObject(d), live)
		switch {
		case apierrors.IsNotFound(err):
			err = c.Create(ctx, d)
		case err == nil:
			d.ResourceVersion = live.ResourceVersion
			err = c.Update(ctx, d)
		}
		if err != nil {
			return fmt.Errorf("installing %s: %w", d.Name, err)
		}
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: FluxNamespace}}
	if err := c.Create(ctx, namespace); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("making namespace %s: %w", FluxNamespace, err)
	}
	for _, d := range definitions {
		if err := established(ctx, c, d.Name); err != nil {
			return err
		}
	}
	return nil
}

func established(ctx context.Context, c client.Client, name string) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		live := &apiextensionsv1.CustomResourceDefinition{}
		if err := c.Get(ctx, client.ObjectKey{Name: name}, live); err != nil {
			return fmt.Errorf("waiting for %s: %w", name, err)
		}
		for _, condition := range live.Status.Conditions {
			if condition.Type == apiextensionsv1.Established && condition.Status == apiextensionsv1.ConditionTrue {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s is not established: %w", name, context.Cause(ctx))
		}
	}
}
