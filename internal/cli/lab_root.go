package cli

import (
	"context"
	"fmt"
	"path"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/fleet"
	"github.com/sluice-dev/sluice/internal/lab"
	"github.com/sluice-dev/sluice/internal/wire"
)

// clusterVars is the ConfigMap that Kustomizations substitute from.
const clusterVars = "cluster-vars"

// connectTo makes a client of a cluster of a lab.
func connectTo(c lab.Cluster) (client.WithWatch, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", c.Name, err)
	}
	config.QPS = -1
	return client.NewWithWatch(config, client.Options{Scheme: wire.Scheme()})
}

// root is what makes a cluster follow a repository: variables, a source, and
// the Kustomization that everything else comes from.
type root struct {
	vars   *corev1.ConfigMap
	source *sourcev1.OCIRepository
	all    *kustomizev1.Kustomization
}

func (e example) root(c fleet.Cluster, registry string) root {
	url := in(registry, e.Repository)
	name := metav1.ObjectMeta{Namespace: lab.FluxNamespace, Name: path.Base(url)}
	return root{
		vars: &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: lab.FluxNamespace, Name: clusterVars,
				Labels: map[string]string{"reconcile.fluxcd.io/watch": "Enabled"}, // a changed value counts at once
			},
			Data: c.With(map[string]string{registryVariable: registry}),
		},
		source: &sourcev1.OCIRepository{
			ObjectMeta: name,
			Spec: sourcev1.OCIRepositorySpec{
				URL: url, Interval: metav1.Duration{Duration: 5 * time.Minute}, Reference: &sourcev1.OCIRepositoryRef{Tag: tagsOf(e.Repository)[0]},
			},
		},
		all: &kustomizev1.Kustomization{
			ObjectMeta: name,
			Spec: kustomizev1.KustomizationSpec{
				Interval: metav1.Duration{Duration: time.Hour}, Path: "./" + c.Path, Prune: true,
				SourceRef: kustomizev1.CrossNamespaceSourceReference{Kind: sourcev1.OCIRepositoryKind, Name: name.Name},
				PostBuild: &kustomizev1.PostBuild{SubstituteFrom: []kustomizev1.SubstituteReference{{Kind: "ConfigMap", Name: clusterVars}}},
			},
		},
	}
}

// write makes the objects what they should be.
func (r root) write(ctx context.Context, c client.Client) error {
	for _, o := range []client.Object{r.vars, r.source, r.all} {
		if err := overwrite(ctx, c, o); err != nil {
			return fmt.Errorf("writing %T %s: %w", o, client.ObjectKeyFromObject(o), err)
		}
	}
	return nil
}

// overwrite creates an object, or changes its spec or data if it differs. What
// a user has added to its metadata stays.
func overwrite(ctx context.Context, c client.Client, want client.Object) error {
	err := c.Create(ctx, want.DeepCopyObject().(client.Object))
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	live := want.DeepCopyObject().(client.Object)
	if err := c.Get(ctx, client.ObjectKeyFromObject(want), live); err != nil {
		return err
	}
	before := live.DeepCopyObject().(client.Object)
	replace(live, want)
	return c.Patch(ctx, live, client.MergeFrom(before))
}

func replace(live, want runtime.Object) {
	switch live := live.(type) {
	case *corev1.ConfigMap:
		live.Data = want.(*corev1.ConfigMap).Data
	case *sourcev1.OCIRepository:
		live.Spec = want.(*sourcev1.OCIRepository).Spec
	case *kustomizev1.Kustomization:
		live.Spec = want.(*kustomizev1.Kustomization).Spec
	}
}
