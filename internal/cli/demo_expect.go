package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/inventory"
)

// Where the service lives, and what it follows.
const (
	activityNamespace = "activity-system"
	activitySource    = "activity-kustomize"
	apiserver         = "activity-apiserver"
	processor         = "activity-processor"
	migrations        = "clickhouse-migrations"
)

func (s *stage) kustomization(name string) *kustomizev1.Kustomization {
	return find[*kustomizev1.Kustomization](s, activityNamespace, name)
}

func (s *stage) deployment(name string) *appsv1.Deployment {
	return find[*appsv1.Deployment](s, activityNamespace, name)
}

func (s *stage) source() *sourcev1.OCIRepository {
	return find[*sourcev1.OCIRepository](s, activityNamespace, activitySource)
}

// unready names what is not Ready yet.
func (s *stage) unready() string {
	var list []string
	for _, k := range all[*kustomizev1.Kustomization](s) {
		if !isReady(k) {
			list = append(list, k.Name+" "+says(k))
		}
	}
	slices.Sort(list)
	return strings.Join(list, "\n")
}

// behind names what does not run a version that the stage should take.
func (s *stage) behind(v edition) string {
	want := v.revision(s.name)
	if o := s.source(); o == nil || o.Status.Artifact == nil || o.Status.Artifact.Revision != want {
		return fmt.Sprintf("the source in %s has not seen %s", s.name, want)
	}
	var list []string
	for _, k := range all[*kustomizev1.Kustomization](s) {
		if k.Spec.SourceRef.Name == activitySource && (!isReady(k) || k.Status.LastAppliedRevision != want) {
			list = append(list, fmt.Sprintf("in %s %s has applied %s and %s", s.name, k.Name, k.Status.LastAppliedRevision, says(k)))
		}
	}
	slices.Sort(list)
	return strings.Join(list, "\n")
}

// runs is the image of a Deployment's first container.
func runs(d *appsv1.Deployment) string {
	if d == nil {
		return "nothing"
	}
	return d.Spec.Template.Spec.Containers[0].Image
}

// pair keeps which image and which configuration the API server has together.
func (s *stage) pair(d *appsv1.Deployment) {
	if d.Name != apiserver {
		return
	}
	both := runs(d)
	for _, v := range d.Spec.Template.Spec.Volumes {
		if v.ConfigMap != nil {
			both += " with " + v.ConfigMap.Name
		}
	}
	if !slices.Contains(s.paired, both) {
		s.paired = append(s.paired, both)
	}
}

// marks tells for every object that the named Kustomizations own, or all of the
// service's bundle, when it was written last: two equal marks mean that it was
// not. For what has a status, which others write, the owners of fields and the
// generation stand for the resource version.
func (s *stage) marks(ctx context.Context, names ...string) (map[string]string, error) {
	found := map[string]string{}
	for _, k := range all[*kustomizev1.Kustomization](s) {
		if k.Status.Inventory == nil || len(names) == 0 && k.Spec.SourceRef.Name != activitySource || len(names) > 0 && !slices.Contains(names, k.Name) {
			continue
		}
		owned, err := inventory.Read(k.Status.Inventory)
		if err != nil {
			return nil, fmt.Errorf("reading the inventory of %s: %w", k.Name, err)
		}
		for _, o := range owned.Entries() {
			live := &unstructured.Unstructured{}
			live.SetGroupVersionKind(schema.GroupVersionKind{Group: o.Group, Version: o.Version, Kind: o.Kind})
			if err := s.Get(ctx, client.ObjectKey{Namespace: o.Namespace, Name: o.Name}, live); err != nil {
				return nil, fmt.Errorf("reading what %s owns: %w", k.Name, err)
			}
			found[o.ID.String()] = mark(live)
		}
	}
	return found, nil
}

func mark(o *unstructured.Unstructured) string {
	if _, has := o.Object["status"]; !has {
		return fmt.Sprint(o.GetUID(), o.GetResourceVersion())
	}
	text := fmt.Sprint(o.GetUID(), o.GetGeneration(), o.GetLabels())
	for _, m := range o.GetManagedFields() {
		if m.Subresource == "" && m.Operation == metav1.ManagedFieldsOperationApply {
			text += fmt.Sprint(m.Manager, m.Time, m.FieldsV1)
		}
	}
	return text
}

// changed compares two sets of marks.
func changed(before, after map[string]string) string {
	var list []string
	for name, mark := range before {
		switch now, there := after[name]; {
		case !there:
			list = append(list, name+" is gone")
		case now != mark:
			list = append(list, name+" was written")
		}
	}
	for name := range after {
		if before[name] == "" {
			list = append(list, name+" is new")
		}
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}
