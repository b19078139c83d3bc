package deliver

import (
	"context"
	"encoding/json"
	"fmt"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/status"
)

// book is a journal that folds for real and writes to the world's Kustomization
// with a precondition.
type book struct {
	m       *member
	base    kustomizev1.KustomizationStatus
	version string
	events  []event.Event
	told    int

	writes  []kustomizev1.KustomizationStatus
	notices []event.Notice
	lines   []string // what happened, in words
	fail    func(event.Event) error
}

func (b *book) Begin(ks *kustomizev1.Kustomization) {
	b.base, b.version = *ks.Status.DeepCopy(), ks.ResourceVersion
	b.events, b.told = nil, 0
}

func (b *book) Record(ctx context.Context, e event.Event) error {
	if b.fail != nil {
		if err := b.fail(e); err != nil {
			return err
		}
	}
	about := status.Delivery{Object: event.Object{Kind: "Kustomization", Name: b.m.ks.Name}, Generation: b.m.ks.Generation}
	about.RequestedAt, _ = meta.ReconcileAnnotationValue(b.m.ks.Annotations)
	next, notices := status.FoldKustomization(b.base, about, append(b.events, e))
	err := b.m.w.port(ctx, "record", func() error {
		if equality.Semantic.DeepEqual(next, b.m.ks.Status) && b.version == b.m.ks.ResourceVersion {
			return nil
		}
		if b.version != b.m.ks.ResourceVersion {
			return fmt.Errorf("writing: %w", ErrOutdated)
		}
		before := b.m.ready()
		b.m.ks = b.m.ks.DeepCopy()
		b.m.ks.Status = *next.DeepCopy()
		b.m.touch()
		b.version = b.m.ks.ResourceVersion
		b.writes = append(b.writes, next)
		if before != b.m.ready() {
			b.wakeDependents()
		}
		return nil
	})
	raw, _ := json.Marshal(e)
	b.lines = append(b.lines, fmt.Sprint(string(raw), " ", err))
	if err != nil {
		return err
	}
	b.events = append(b.events, e)
	b.notices = append(b.notices, notices[b.told:]...)
	b.told = len(notices)
	return nil
}

func (b *book) wakeDependents() {
	for name, other := range b.m.w.members {
		for _, d := range other.ks.Spec.DependsOn {
			if d.Name == b.m.ks.Name {
				b.m.w.wake(name)
			}
		}
	}
}

// reasons are the notices' reasons since the last call.
func (b *book) reasons() []string {
	var list []string
	for _, n := range b.notices {
		list = append(list, n.Reason)
	}
	b.notices = nil
	return list
}

// written is how many writes were made since the last call.
func (b *book) written() int {
	n := len(b.writes)
	b.writes = nil
	return n
}
