package plan

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"

	"github.com/sluice-dev/sluice/internal/inventory"
	"github.com/sluice-dev/sluice/internal/object"
)

// prune decides what becomes of objects that are wanted no more
// (kustomization_controller.go prune, pkg/ssa/manager_delete.go).
func (p *Plan) prune(in Input) {
	stale := staleOf(in)
	if !in.Rules.Prune {
		if len(stale) > 0 {
			p.Notes = append(p.Notes, fmt.Sprintf("prune is off: %s not wanted any more stay: %s", count(len(stale), "object"), names(stale)))
		}
		return
	}
	slices.SortFunc(stale, func(a, b inventory.Entry) int { return ApplyOrder(b.ID, a.ID) })
	same := sameAs(in)
	for _, entry := range stale {
		if step, there := pruneStep(entry, in, same); there {
			p.Prune = append(p.Prune, step)
		}
	}
}

// sameAs finds the wanted object that a live one is, under whatever name: of
// another group, or with a namespace where there is none.
func sameAs(in Input) func(live *unstructured.Unstructured) (object.ID, bool) {
	uids, ids := map[string]object.ID{}, map[object.ID]bool{}
	for _, u := range in.Want {
		id := object.IDOf(u)
		ids[id] = true
		if live := in.Live[id].Object; live != nil && live.GetUID() != "" {
			uids[string(live.GetUID())] = id
		}
	}
	return func(live *unstructured.Unstructured) (object.ID, bool) {
		id, found := uids[string(live.GetUID())]
		if !found {
			id = object.IDOf(live)
			found = ids[id]
		}
		return id, found
	}
}

// staleOf are the owned objects that are wanted no more. An inventory may name a
// cluster-wide object without the namespace that its text in the bundle has.
func staleOf(in Input) []inventory.Entry {
	wanted := map[object.ID]bool{}
	for _, u := range in.Want {
		id := object.IDOf(u)
		wanted[id] = true
		id.Namespace = ""
		wanted[id] = true
	}
	return slices.DeleteFunc(in.Own.Entries(), func(e inventory.Entry) bool { return wanted[e.ID] })
}

// pruneStep decides for one object; there is false if it is gone already.
func pruneStep(entry inventory.Entry, in Input, sameAs func(*unstructured.Unstructured) (object.ID, bool)) (step Step, there bool) {
	step = Step{ID: entry.ID, Version: entry.Version}
	known, observed := in.Live[entry.ID]
	live := known.Object
	switch {
	case !observed:
		return step.refused(fmt.Errorf("looking at %s: it was not looked at", entry.ID)), true
	case known.Failed != nil:
		return step.refused(known.Failed), true
	case known.Unserved:
		return step.as(Skip, "no server knows its kind any more"), true
	case live == nil:
		return step, false
	}
	step.UID, step.ResourceVersion = string(live.GetUID()), live.GetResourceVersion()
	if same, ok := sameAs(live); ok {
		return step.as(Skip, "it is the same object as "+same.String()), true
	}
	if why := stays(live, in.Owner, in.Claimed[entry.ID]); why != "" {
		return step.as(Skip, why), true
	}
	return step.as(Delete, takesAlong(entry.ID)), true
}

// stays says why an object is not deleted; empty if it is.
func stays(live *unstructured.Unstructured, owner Owner, claimed string) string {
	at := OwnerOf(live)
	switch {
	case at == Owner{}:
		return "it is not labelled as ours"
	case at != owner:
		return fmt.Sprintf("it belongs to Kustomization/%s/%s now", at.Namespace, at.Name)
	case claimed != "":
		return "it is handed over to " + claimed
	case marked(live, prune, kustomizev1.DisabledValue):
		return mark(prune, kustomizev1.DisabledValue) + " on the live object"
	case marked(live, reconcile, kustomizev1.DisabledValue):
		return mark(reconcile, kustomizev1.DisabledValue) + " on the live object"
	case marked(live, serverSet, kustomizev1.IgnoreValue):
		return mark(serverSet, kustomizev1.IgnoreValue) + " on the live object"
	case live.GetDeletionTimestamp() != nil:
		return "it is being deleted already"
	}
	return ""
}

// takesAlong says what else a deletion deletes.
func takesAlong(id object.ID) string {
	switch id.GroupKind() {
	case schema.GroupKind{Kind: "Namespace"}:
		return "and with it all objects in the namespace"
	case schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}:
		return "and with it all objects of the kind, in all namespaces"
	}
	return ""
}

// heldEmpty says that nothing was found and everything would go; empty if that
// is not so, or allowed.
func heldEmpty(in Input, prunes []Step) string {
	if !in.Empty || in.Own.Len() == 0 || !in.Rules.Prune || in.Rules.AllowEmpty {
		return ""
	}
	var doomed []inventory.Entry
	for _, step := range prunes {
		if step.Action == Delete {
			doomed = append(doomed, inventory.Entry{ID: step.ID})
		}
	}
	would := "pruning would delete"
	if len(doomed) == 0 {
		would, doomed = "the Kustomization would forget", in.Own.Entries()
	}
	return fmt.Sprintf("nothing was found at the path, and %s %s: %s: correct the path or the bundle; if all shall go, annotate the Kustomization with %s: %q",
		would, count(len(doomed), "object"), names(doomed), AllowEmptyAnnotation, in.Revision)
}

// names lists the first few objects.
func names(entries []inventory.Entry) string {
	const most = 3
	var list []string
	for _, e := range entries[:min(most, len(entries))] {
		list = append(list, e.String())
	}
	text := strings.Join(list, ", ")
	if rest := len(entries) - most; rest > 0 {
		text += fmt.Sprintf(" and %d more", rest)
	}
	return text
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
