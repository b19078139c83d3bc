package deliver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/internal/health"
	"github.com/sluice-dev/sluice/internal/object"
	"github.com/sluice-dev/sluice/internal/plan"
)

// model is a cluster in memory. An apply replaces what an object says; Jobs
// cannot be changed, run at once, and go when their time-to-live is over.
type model struct {
	w       *world
	objects map[object.ID]*unstructured.Unstructured
	written map[object.ID]time.Time
	uids    int
	writes  []string
	jobRuns map[string]int

	since    time.Time                             // what was asked to be verified last
	slow     time.Duration                         // until an object is Current after it was written
	verdicts map[object.ID]health.Verdict          // in place of that
	unserved map[string]bool                       // kinds
	refuse   map[object.ID]error                   // dry-runs
	fault    func(call string, id object.ID) error // before a call has an effect
	lingers  map[object.ID]bool                    // has a finalizer
}

func newModel(w *world) *model {
	return &model{
		w: w, objects: map[object.ID]*unstructured.Unstructured{}, written: map[object.ID]time.Time{}, jobRuns: map[string]int{},
		verdicts: map[object.ID]health.Verdict{}, unserved: map[string]bool{}, refuse: map[object.ID]error{}, lingers: map[object.ID]bool{},
	}
}

func (m *model) port(ctx context.Context, call string, id object.ID, effect func() error) error {
	return m.w.port(ctx, call, func() error {
		if m.fault != nil {
			if err := m.fault(call, id); err != nil {
				return err
			}
		}
		return effect()
	})
}

func (m *model) Kinds(ctx context.Context, objects []*unstructured.Unstructured) (map[object.ID]error, error) {
	missing := map[object.ID]error{}
	err := m.port(ctx, "kinds", object.ID{}, func() error {
		for _, u := range objects {
			if m.unserved[u.GetKind()] {
				missing[object.IDOf(u)] = errors.New("no match")
			}
		}
		return nil
	})
	return missing, err
}

func (m *model) Observe(ctx context.Context, ask Ask) (map[object.ID]plan.Live, error) {
	found := map[object.ID]plan.Live{}
	call := "observe"
	if ask.Quiet {
		call = "recall"
	}
	if len(ask.Want) > 0 && !ask.Quiet {
		m.since = ask.Since
	}
	err := m.port(ctx, call, object.ID{}, func() error {
		for _, want := range ask.Want {
			found[object.IDOf(want)] = m.observe(ask, want)
		}
		for _, stale := range ask.Stale {
			found[stale.ID] = plan.Live{Object: m.get(stale.ID)}
		}
		return nil
	})
	return found, err
}

func (m *model) observe(ask Ask, want *unstructured.Unstructured) plan.Live {
	id := object.IDOf(want)
	live := m.get(id)
	switch {
	case m.unserved[want.GetKind()]:
		return plan.Live{Unserved: true}
	case m.refuse[id] != nil:
		return plan.Live{Object: live, Refused: m.refuse[id]}
	case live == nil:
		return plan.Live{}
	case live.GetDeletionTimestamp() != nil:
		return plan.Live{Object: live, Owner: plan.OwnerOf(live)}
	case same(live, want):
		return plan.Live{Converged: true, Owner: plan.OwnerOf(live)}
	case want.GetKind() == "Job":
		err := apierrors.NewInvalid(schema.GroupKind{Group: "batch", Kind: "Job"}, want.GetName(), nil)
		return plan.Live{Object: live, Refused: err, Replaceable: true, Owner: plan.OwnerOf(live)}
	}
	return plan.Live{Object: live, Merged: want, Owner: plan.OwnerOf(live)}
}

func same(live, want *unstructured.Unstructured) bool {
	live = live.DeepCopy()
	live.SetUID("")
	return cmp.Equal(live.Object, withoutUID(want).Object)
}

func withoutUID(u *unstructured.Unstructured) *unstructured.Unstructured {
	u = u.DeepCopy()
	u.SetUID("")
	return u
}

func (m *model) get(id object.ID) *unstructured.Unstructured {
	if u := m.objects[id]; u != nil {
		return u.DeepCopy()
	}
	return nil
}

func (m *model) Apply(ctx context.Context, step plan.Step) (*unstructured.Unstructured, error) {
	if step.Action == plan.Replace {
		return nil, m.Delete(ctx, step)
	}
	return nil, m.port(ctx, "apply", step.ID, func() error {
		u := step.Send.DeepCopy()
		m.writes = append(m.writes, string(step.Action)+" "+step.ID.String())
		if old := m.objects[step.ID]; old != nil {
			u.SetUID(old.GetUID())
		} else {
			m.uids++
			u.SetUID(types.UID(fmt.Sprint("uid-", m.uids)))
			m.run(step.ID, u)
		}
		m.objects[step.ID] = u
		m.written[step.ID] = time.Now()
		m.w.wakeAt(time.Now().Add(m.slow), plan.OwnerOf(u))
		return nil
	})
}

// run lets a Job run, and go.
func (m *model) run(id object.ID, u *unstructured.Unstructured) {
	if id.Kind != "Job" {
		return
	}
	m.jobRuns[id.String()+" "+contentOf(withoutUID(u))]++
	ttl, found, _ := unstructured.NestedInt64(u.Object, "spec", "ttlSecondsAfterFinished")
	if !found {
		return
	}
	uid := u.GetUID()
	m.w.at(time.Now().Add(m.slow+time.Duration(ttl)*time.Second), func() {
		if live := m.objects[id]; live != nil && live.GetUID() == uid {
			delete(m.objects, id)
		}
	})
}

func (m *model) Delete(ctx context.Context, step plan.Step) error {
	return m.port(ctx, "delete", step.ID, func() error {
		live := m.objects[step.ID]
		if live == nil || string(live.GetUID()) != step.UID {
			return nil
		}
		m.writes = append(m.writes, string(step.Action)+" "+step.ID.String())
		if m.lingers[step.ID] {
			now := metav1.Now()
			live.SetDeletionTimestamp(&now)
			return nil
		}
		delete(m.objects, step.ID)
		return nil
	})
}

// gone lets an object with a finalizer go.
func (m *model) gone(id object.ID) {
	owner := plan.OwnerOf(m.objects[id])
	delete(m.objects, id)
	delete(m.lingers, id)
	m.w.wakeAt(time.Now(), owner)
}

func (m *model) Judge(ctx context.Context, _ plan.Owner, checks []Check, _ *health.Rules) (map[object.ID]health.Verdict, error) {
	verdicts := map[object.ID]health.Verdict{}
	err := m.port(ctx, "judge", object.ID{}, func() error {
		for _, c := range checks {
			verdicts[c.ID] = m.verdict(c.ID)
		}
		return nil
	})
	return verdicts, err
}

func (m *model) verdict(id object.ID) health.Verdict {
	live := m.objects[id]
	if live == nil {
		return health.Missing(id, false)
	}
	if live.GetDeletionTimestamp() != nil {
		return health.Verdict{Status: health.Terminating, Message: "held by a finalizer"}
	}
	if v, scripted := m.verdicts[id]; scripted {
		return v
	}
	if time.Since(m.written[id]) < m.slow {
		return health.Verdict{Status: health.InProgress}
	}
	return health.Verdict{Status: health.Current}
}
