package report

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/inventory"
	"github.com/sluice-dev/sluice/internal/object"
)

// Happened is a Kubernetes Event as it is shown.
type Happened struct {
	At      time.Time `json:"at"`
	Type    string    `json:"type"` // Normal or Warning
	Reason  string    `json:"reason"`
	Object  object.ID `json:"object"`
	Message string    `json:"message"`
	Times   int32     `json:"times,omitempty"`
	By      string    `json:"by,omitempty"` // which component told
	uid     string
}

// About selects events. The zero value takes those about Flux's kinds.
type About struct {
	Objects map[object.ID]bool // without API groups; nil takes all
	Warning bool               // only warnings
}

// Around is what a Kustomization's events are looked for: itself, its source,
// and the objects it owns.
func Around(ks *kustomizev1.Kustomization) (map[object.ID]bool, error) {
	source := SourceOf(ks)
	found := map[object.ID]bool{
		{Kind: kustomizev1.KustomizationKind, Namespace: ks.Namespace, Name: ks.Name}: true,
		{Kind: source.Kind, Namespace: source.Namespace, Name: source.Name}:           true,
	}
	own, err := inventory.Read(ks.Status.Inventory)
	if err != nil {
		return nil, fmt.Errorf("reading the inventory of Kustomization %s/%s: %w", ks.Namespace, ks.Name, err)
	}
	for _, id := range own.IDs() {
		id.Group = ""
		found[id] = true
	}
	return found, nil
}

func (a About) takes(e *corev1.Event) bool {
	ref := e.InvolvedObject
	if a.Warning && e.Type != corev1.EventTypeWarning {
		return false
	}
	if a.Objects != nil {
		return a.Objects[object.ID{Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name}]
	}
	return strings.Contains(ref.APIVersion, ".toolkit.fluxcd.io/")
}

// Events lists what is kept of events, the oldest first, and says where a watch
// goes on. The API server keeps them for an hour.
func Events(ctx context.Context, c client.WithWatch, namespace string, a About) ([]Happened, string, error) {
	var list corev1.EventList
	if err := c.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil, "", fmt.Errorf("listing Events: %w", err)
	}
	found := []Happened{}
	for i := range list.Items {
		if a.takes(&list.Items[i]) {
			found = append(found, happened(&list.Items[i]))
		}
	}
	slices.SortStableFunc(found, func(x, y Happened) int {
		return cmp.Or(x.At.Compare(y.At), cmp.Compare(x.Object.String(), y.Object.String()), cmp.Compare(x.uid, y.uid))
	})
	return found, list.ResourceVersion, nil
}

// WatchEvents tells of every event from a version on, until the context ends:
// then its cause is returned.
func WatchEvents(ctx context.Context, c client.WithWatch, namespace, version string, a About, tell func(Happened) error) error {
	for {
		stream, err := c.Watch(ctx, &corev1.EventList{}, &client.ListOptions{
			Namespace: namespace, Raw: &metav1.ListOptions{ResourceVersion: version, AllowWatchBookmarks: true},
		})
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("watching Events: %w", err)
		}
		err = takeEvents(stream, &version, a, tell)
		stream.Stop()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
	}
}

func takeEvents(stream watch.Interface, version *string, a About, tell func(Happened) error) error {
	for got := range stream.ResultChan() {
		if status, bad := got.Object.(*metav1.Status); bad {
			return fmt.Errorf("watching Events: %s", status.Message)
		}
		e, ok := got.Object.(*corev1.Event)
		if !ok {
			continue
		}
		*version = e.ResourceVersion
		if got.Type != watch.Added && got.Type != watch.Modified || !a.takes(e) {
			continue
		}
		if err := tell(happened(e)); err != nil {
			return err
		}
	}
	return nil
}

func happened(e *corev1.Event) Happened {
	h := Happened{
		At: e.LastTimestamp.Time, Type: e.Type, Reason: e.Reason, Message: e.Message, Times: e.Count, uid: string(e.UID),
		By: cmp.Or(e.ReportingController, e.Source.Component),
	}
	group, _, found := strings.Cut(e.InvolvedObject.APIVersion, "/")
	if !found {
		group = ""
	}
	h.Object = object.ID{Group: group, Kind: e.InvolvedObject.Kind, Namespace: e.InvolvedObject.Namespace, Name: e.InvolvedObject.Name}
	if e.Series != nil {
		h.At, h.Times = e.Series.LastObservedTime.Time, e.Series.Count
	}
	if h.At.IsZero() {
		h.At = cmp.Or(e.EventTime.Time, e.CreationTimestamp.Time)
	}
	return h
}

// EventLines lays events out.
func EventLines(list []Happened, allNamespaces, header bool, s Style, now time.Time) []string {
	var t Table
	if header {
		t.Header = []string{"LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"}
	}
	for _, h := range list {
		t.Rows = append(t.Rows, h.cells(allNamespaces, since(now, h.At)))
	}
	return t.Lines(s)
}

// Line is an event on a line of its own, with the time.
func (h Happened) Line(allNamespaces bool, s Style) string {
	return Table{Rows: [][]Cell{h.cells(allNamespaces, h.At.Local().Format(time.TimeOnly))}}.Lines(s)[0]
}

func (h Happened) cells(allNamespaces bool, at string) []Cell {
	state := State("")
	if h.Type == corev1.EventTypeWarning {
		state = Failed
	}
	id := h.Object
	if !allNamespaces {
		id.Namespace = ""
	}
	message := strings.Join(strings.FieldsFunc(h.Message, func(r rune) bool { return r == '\n' }), "; ")
	if h.Times > 1 {
		message += fmt.Sprintf(" (%d times)", h.Times)
	}
	return []Cell{{Text: at}, {Text: h.Type, State: state}, {Text: h.Reason}, {Text: id.String()}, {Text: Brief(message)}}
}
