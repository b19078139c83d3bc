package delivertest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/internal/inventory"
	"github.com/sluice-dev/sluice/internal/object"
)

// state is what an install ends in: each object's text by its name, without
// what differs from run to run and from namespace to namespace.
type state map[string]string

const (
	ownerName      = "kustomize.toolkit.fluxcd.io/name"
	ownerNamespace = "kustomize.toolkit.fluxcd.io/namespace"
)

// state reads the Kustomizations of the namespace and all objects with their
// labels; what is labelled has to be in an inventory.
func (w *world) state(group string) state {
	w.Helper()
	s := state{}
	owned := map[string]bool{}
	for _, k := range w.all() {
		s["Kustomization "+k.Name] = w.anonymous(group, statusOf(&k))
		inv, err := inventory.Read(k.Status.Inventory)
		w.must(err)
		for _, id := range inv.IDs() {
			owned[k.Name+" "+id.String()] = true
		}
	}
	for _, o := range w.labelled(group) {
		name := o.GetLabels()[ownerName] + " " + object.IDOf(&o).String()
		if !owned[name] {
			w.Errorf("nobody's inventory has %s", name)
		}
		s[w.anonymous(group, name)] = w.anonymous(group, contentOf(o))
	}
	for name := range owned {
		if _, found := s[w.anonymous(group, name)]; !found {
			w.Errorf("only an inventory has %s", name)
		}
	}
	return s
}

// labelled lists all objects that carry labels of this namespace's
// Kustomizations.
func (w *world) labelled(group string) []unstructured.Unstructured {
	w.Helper()
	var all []unstructured.Unstructured
	for _, kind := range []schema.GroupVersionKind{
		{Version: "v1", Kind: "ConfigMap"}, {Version: "v1", Kind: "ServiceAccount"},
		{Group: "apps", Version: "v1", Kind: "Deployment"}, {Group: "batch", Version: "v1", Kind: "Job"},
		{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}, {Group: group, Version: "v1", Kind: "Widget"},
	} {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind)
		err := w.client.List(w.Context(), list, client.MatchingLabels{ownerNamespace: w.namespace})
		if isNoKind(err) {
			continue
		}
		w.must(err)
		all = append(all, list.Items...)
	}
	return all
}

// contentOf is what an author or another manager would see of an object.
func contentOf(o unstructured.Unstructured) string {
	for _, field := range []string{"uid", "resourceVersion", "creationTimestamp", "selfLink"} {
		unstructured.RemoveNestedField(o.Object, "metadata", field)
	}
	unstructured.RemoveNestedField(o.Object, "status")
	if o.GetKind() == "Job" { // these have its uid
		unstructured.RemoveNestedField(o.Object, "spec", "selector")
		unstructured.RemoveNestedField(o.Object, "spec", "template", "metadata")
	}
	var managers []any
	for _, m := range o.GetManagedFields() {
		if m.Subresource == "" {
			managers = append(managers, fmt.Sprintf("%s %s %s", m.Manager, m.Operation, m.FieldsV1.GetRawString()))
		}
	}
	o.SetManagedFields(nil)
	o.Object["managers"] = managers
	return text(o.Object)
}

var (
	took  = regexp.MustCompile(` in [0-9.hmµ]+s`)
	fresh = regexp.MustCompile(`(?m)^.*(Time|firstReconciled|lastReconciled|lastReconciledDuration|totalReconciliations|resourceVersion|uid|creationTimestamp|lastHandledReconcileAt|requestedAt):? .*\n|^.*digest: sha256.*\n`)
)

func statusOf(k *kustomizev1.Kustomization) string {
	k = k.DeepCopy()
	k.ManagedFields = nil
	return fresh.ReplaceAllString(took.ReplaceAllString(text(k), " in a while"), "")
}

func text(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	out, err := yaml.JSONToYAML(raw)
	if err != nil {
		return err.Error()
	}
	return string(out)
}

// anonymous takes the names out that each run has for itself.
func (w *world) anonymous(group, s string) string {
	if group == "" {
		group = "no.group"
	}
	return strings.NewReplacer(group, "$GROUP", w.namespace, "$NS").Replace(s)
}
