package deliver

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/inventory"
	"github.com/sluice-dev/sluice/internal/object"
	"github.com/sluice-dev/sluice/internal/plan"
)

// ApplyPolicy holds the flags that change how objects are applied.
type ApplyPolicy struct {
	StageKinds        map[schema.GroupKind]struct{}
	OverrideManagers  []string
	MigrateAPIVersion bool
	// Concurrent is how many objects of one stage are written at a time.
	Concurrent int
}

// decide computes the plan and keeps the guards. Nothing is written by it.
func (r *rollout) decide(ctx context.Context) turn {
	if err := r.compute(ctx); err != nil {
		t := failing(event.StepPlan, err.Error())
		if !errors.Is(err, errInventory) {
			t.retry = pause(1)
		}
		return t
	}
	if r.plan.Held != "" {
		return failing(event.StepEmpty, r.plan.Held)
	}
	if refused := r.plan.Refused(); len(refused) > 0 {
		return r.refused(event.StepPlan, refused)
	}
	return onward
}

var errInventory = errors.New("nothing is changed until it is repaired")

// compute observes what is live and computes the plan.
func (r *rollout) compute(ctx context.Context) error {
	var err error
	if r.own, err = inventory.Read(r.object.Status.Inventory); err != nil {
		return fmt.Errorf("reading status.inventory: %w; %w", err, errInventory)
	}
	if r.in, err = r.input(ctx); err != nil {
		return err
	}
	r.plan = plan.Compute(r.in)
	return nil
}

// input gathers what the plan is computed from.
func (r *rollout) input(ctx context.Context) (plan.Input, error) {
	in := plan.Input{
		Owner: r.owner(), Revision: r.source.Artifact.Revision, Want: r.built.Objects, Empty: r.built.Empty,
		Own: r.own, Rules: r.applyRules(),
	}
	wanted := inventory.Of()
	for id, u := range r.objects() {
		wanted = wanted.Union(inventory.Of(inventory.Entry{ID: id, Version: u.GroupVersionKind().Version}))
	}
	stale := r.own.Minus(wanted)
	var err error
	in.Live, err = r.target.Observe(ctx, Ask{
		Owner: in.Owner, Want: in.Want, Stale: checksOf(stale), Rules: in.Rules, Since: r.verify,
	})
	if err != nil {
		return in, err
	}
	in.Done = r.doneJobs()
	if stale.Len() > 0 && in.Rules.Prune {
		in.Claimed, err = r.Claims.Claimed(ctx, r.object, stale.IDs())
	}
	return in, err
}

func checksOf(inv inventory.Inventory) []Check {
	var list []Check
	for _, e := range inv.Entries() {
		list = append(list, Check{ID: e.ID, Version: e.Version})
	}
	return list
}

func (r *rollout) applyRules() plan.Rules {
	p := r.Policy.Apply
	return plan.Rules{
		Force: r.object.Spec.Force, Prune: r.object.Spec.Prune, Ignore: r.object.Spec.Ignore,
		StageKinds: p.StageKinds, OverrideManagers: p.OverrideManagers, MigrateAPIVersion: p.MigrateAPIVersion,
		AllowEmpty: r.wish.allowed != "" && r.wish.allowed == r.source.Artifact.Revision,
	}
}

// jobKey is where the history of a Kustomization remembers a Job.
func jobKey(id object.ID) string { return "job/" + id.Namespace + "/" + id.Name }

// contentOf is a digest of an object that stays the same from version to
// version of this program.
func contentOf(u *unstructured.Unstructured) string {
	raw, err := json.Marshal(u.Object)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(raw))
}

// doneJobs are Jobs that have run for what is wanted now and were removed by
// their time-to-live: they are not to run again.
func (r *rollout) doneJobs() map[object.ID]bool {
	done := map[object.ID]bool{}
	for id := range r.jobsWithTTL() {
		if !r.own.Has(id) {
			continue
		}
		for _, snapshot := range r.object.Status.History {
			if snapshot.LastReconciledStatus != "ReconciliationSucceeded" {
				continue
			}
			digest, known := snapshot.Metadata[jobKey(id)]
			done[id] = known && digest == contentOf(r.objects()[id]) || !known && snapshot.Digest == r.built.Digest
			break // the latest success says what ran last
		}
	}
	return done
}

// refused says what the API server would not have, and that nothing changed.
func (r *rollout) refused(step event.Step, steps []plan.Step) turn {
	retry := time.Duration(0)
	var lines []string
	for i, s := range steps {
		if s.Err != nil && isTransient(s.Err) {
			retry = pause(1)
		}
		if unserved := (*plan.UnservedError)(nil); errors.As(s.Err, &unserved) {
			retry = min(r.object.GetRetryInterval(), r.Policy.Recheck)
		}
		if i == maxLines {
			lines = append(lines, fmt.Sprintf("and %d more", len(steps)-maxLines))
			break
		}
		lines = append(lines, s.Why)
	}
	t := failing(step, strings.Join(lines, "\n"))
	t.retry = retry
	return t
}

const maxLines = 10

// transient is a failure that nobody has to mend.
func transient(step event.Step, err error) turn {
	return turn{failed: &event.Failed{Step: step, Text: err.Error()}, retry: pause(1)}
}

func isTransient(err error) bool {
	return apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) ||
		apierrors.IsServiceUnavailable(err) || apierrors.IsConflict(err) || errors.Is(err, context.DeadlineExceeded) ||
		apierrors.ReasonForError(err) == "" || isServerError(err)
}

// isServerError is a 5xx that is no answer to what was asked. Admission
// webhooks that cannot be reached are among these.
func isServerError(err error) bool {
	return apierrors.IsInternalError(err) && !strings.Contains(err.Error(), "field not declared in schema")
}

func sortedIDs[T any](byID map[object.ID]T) []object.ID {
	return slices.SortedFunc(maps.Keys(byID), object.ID.Compare)
}

func subset(all map[object.ID]*unstructured.Unstructured, ids []object.ID) []*unstructured.Unstructured {
	var list []*unstructured.Unstructured
	for _, id := range ids {
		list = append(list, all[id])
	}
	return list
}
