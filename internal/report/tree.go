package report

import (
	"context"
	"fmt"
	"slices"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/health"
	"github.com/sluice-dev/sluice/internal/inventory"
	"github.com/sluice-dev/sluice/internal/object"
)

// Tree is an object with all that it owns.
type Tree struct {
	object.ID
	Version string        `json:"version,omitempty"` // of the API
	Health  health.Status `json:"health,omitempty"`  // of a plain object; empty if it could not be read
	Message string        `json:"message,omitempty"`
	// Row is how a Kustomization is.
	Row      *Row   `json:"kustomization,omitempty"`
	Children []Tree `json:"children,omitempty"`
}

// ReadTree reads a Kustomization, the objects of its inventory, and likewise
// those of the Kustomizations among them.
func ReadTree(ctx context.Context, c client.WithWatch, name types.NamespacedName) (Tree, error) {
	var ks kustomizev1.Kustomization
	if err := c.Get(ctx, name, &ks); err != nil {
		return Tree{}, err
	}
	return (&forester{client: c, seen: map[types.NamespacedName]bool{}}).tree(ctx, &ks)
}

type forester struct {
	client client.Client
	seen   map[types.NamespacedName]bool // two may own each other
}

func (f *forester) tree(ctx context.Context, ks *kustomizev1.Kustomization) (Tree, error) {
	f.seen[client.ObjectKeyFromObject(ks)] = true
	row := kustomizationRow(Snapshot{}, ks)
	t := Tree{
		ID:      object.ID{Group: kustomizev1.GroupVersion.Group, Kind: row.Kind, Namespace: ks.Namespace, Name: ks.Name},
		Version: kustomizev1.GroupVersion.Version, Row: &row,
	}
	own, err := inventory.Read(ks.Status.Inventory)
	if err != nil {
		return t, fmt.Errorf("reading the inventory of Kustomization %s/%s: %w", ks.Namespace, ks.Name, err)
	}
	rules, err := health.Compile(ks.Spec.HealthCheckExprs)
	if err != nil {
		rules = nil // the controller refuses them too, and says so
	}
	look := &looker{client: f.client, owner: ks, rules: rules, lists: map[schema.GroupVersionKind]map[object.ID]*unstructured.Unstructured{}}
	for _, e := range own.Entries() {
		child, err := f.child(ctx, look, e)
		if err != nil {
			return t, err
		}
		t.Children = append(t.Children, child)
	}
	slices.SortFunc(t.Children, func(a, b Tree) int { return a.Compare(b.ID) })
	return t, nil
}

func (f *forester) child(ctx context.Context, look *looker, e inventory.Entry) (Tree, error) {
	leaf := Tree{ID: e.ID, Version: e.Version}
	name := types.NamespacedName{Namespace: e.Namespace, Name: e.Name}
	if look.owner.Spec.KubeConfig != nil {
		leaf.Message = "in the cluster of spec.kubeConfig"
		return leaf, nil
	}
	if e.GroupKind() == (schema.GroupKind{Group: kustomizev1.GroupVersion.Group, Kind: kustomizev1.KustomizationKind}) && !f.seen[name] {
		var ks kustomizev1.Kustomization
		err := f.client.Get(ctx, name, &ks)
		if err == nil {
			return f.tree(ctx, &ks)
		}
		if !apierrors.IsNotFound(err) {
			return leaf, err
		}
	}
	verdict, err := look.verdict(ctx, e)
	leaf.Health, leaf.Message = verdict.Status, verdict.Message
	return leaf, err
}

// looker reads the objects of one owner: by one LIST of each kind, as far as
// that is allowed.
type looker struct {
	client client.Client
	owner  *kustomizev1.Kustomization
	rules  *health.Rules
	lists  map[schema.GroupVersionKind]map[object.ID]*unstructured.Unstructured
}

func (l *looker) verdict(ctx context.Context, e inventory.Entry) (health.Verdict, error) {
	gvk := e.GroupKind().WithVersion(e.Version)
	listed, tried := l.lists[gvk]
	if !tried {
		listed = l.list(ctx, gvk)
		l.lists[gvk] = listed
	}
	u, found := listed[e.ID]
	if !found {
		u = &unstructured.Unstructured{}
		u.SetGroupVersionKind(gvk)
		err := l.client.Get(ctx, types.NamespacedName{Namespace: e.Namespace, Name: e.Name}, u)
		switch {
		case apierrors.IsNotFound(err):
			return health.Verdict{Status: health.NotFound}, nil
		case unserved(err):
			return health.Verdict{Status: health.NotFound, Message: "the cluster does not serve this kind"}, nil
		case apierrors.IsForbidden(err):
			return health.Verdict{Message: "not allowed to read it"}, nil
		case err != nil:
			return health.Verdict{}, fmt.Errorf("reading %s: %w", e.ID, err)
		}
	}
	return health.Judge(u, l.rules), nil
}

// list finds objects by their owner labels. What it misses is read one by one.
func (l *looker) list(ctx context.Context, gvk schema.GroupVersionKind) map[object.ID]*unstructured.Unstructured {
	found := map[object.ID]*unstructured.Unstructured{}
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
	group := kustomizev1.GroupVersion.Group
	err := l.client.List(ctx, list, client.MatchingLabels{group + "/name": l.owner.Name, group + "/namespace": l.owner.Namespace})
	if err != nil {
		return found
	}
	for i := range list.Items {
		found[object.IDOf(&list.Items[i])] = &list.Items[i]
	}
	return found
}
