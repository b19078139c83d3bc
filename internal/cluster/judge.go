package cluster

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/sluice-dev/sluice/internal/deliver"
	"github.com/sluice-dev/sluice/internal/health"
	"github.com/sluice-dev/sluice/internal/object"
	"github.com/sluice-dev/sluice/internal/plan"
)

// Judge gives the health of objects: of the owner's own from the index, of
// others from a watch of that one object. When a
// verdict changes, the owner is woken. What cannot be read is Unknown, with the
// reason; the error is of a cluster that does not answer.
func (t *Target) Judge(ctx context.Context, owner plan.Owner, checks []deliver.Check, rules *health.Rules) (map[object.ID]health.Verdict, error) {
	ctx = withOwner(ctx, owner)
	var mu sync.Mutex
	var away error
	verdicts := make(map[object.ID]health.Verdict, len(checks))
	each(len(checks), t.c.o.ConcurrentSSA, func(i int) {
		verdict, err := t.judge(ctx, owner, checks[i], rules)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
		case t.isAway(err):
			away = &Unreachable{Cluster: t.id.cluster(), Why: why(err)}
		default:
			verdict = health.Verdict{Status: health.Unknown, Message: err.Error()}
		}
		verdicts[checks[i].ID] = verdict
	})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return verdicts, away
}

func (t *Target) judge(ctx context.Context, owner plan.Owner, check deliver.Check, rules *health.Rules) (health.Verdict, error) {
	r, err := t.findAny(ctx, check, owner)
	if meta.IsNoMatchError(err) {
		return health.Verdict{Status: health.NotFound, Message: err.Error()}, nil
	}
	if err != nil {
		return health.Verdict{}, err
	}
	id := check.ID
	if !r.namespaced {
		id.Namespace = ""
	} else if id.Namespace == "" {
		return health.Verdict{}, errNamespace
	}
	var since string
	if w := t.knowledge(ctx, r, id.Namespace); w != nil {
		e, found := w.get(nameOf(id))
		switch {
		case found && e.record.Owner == owner:
			return t.own(ctx, w, e, id, rules)
		case !found && w.lostBy(nameOf(id), owner):
			return t.read(ctx, r, id, rules)
		}
		since = e.record.ResourceVersion
	}
	return t.watched(ctx, r, id, owner, rules, since)
}

// own gives the verdict on an object of the owner's out of the index; by rules
// that are new there, after one look at the object.
func (t *Target) own(ctx context.Context, w *kindWatch, e entry, id object.ID, rules *health.Rules) (health.Verdict, error) {
	if !rules.Covers(id.GroupKind()) {
		rules = nil
	}
	if e.rules == rules {
		return e.record.Health, nil
	}
	w.judgeBy(e.record.Owner, rules)
	live, err := t.s.get(ctx, w.feed.resource, nameOf(id))
	switch {
	case apierrors.IsNotFound(err):
		return health.Missing(id, false), nil
	case err != nil:
		return health.Verdict{}, t.failure("reading", id, err)
	}
	if s := w.sight(live); s.record.Owner == e.record.Owner {
		w.seen(nameOf(id), s, time.Now())
	}
	return health.Judge(live, rules), nil
}

// watched gives a verdict from a watch of the one object, which is at least as
// new as a version.
func (t *Target) watched(ctx context.Context, r resource, id object.ID, owner plan.Owner, rules *health.Rules, since string) (health.Verdict, error) {
	if t.c.o.NoWatches {
		return t.read(ctx, r, id, rules)
	}
	l := t.lookout(r, id, owner, rules)
	if verdict, ok := l.verdict(ctx, owner, rules, since); ok {
		return verdict, nil
	}
	if l.ended() {
		t.blind(r, id.Namespace)
	}
	verdict, err := t.read(ctx, r, id, rules)
	if err == nil {
		l.told(owner, rules, verdict)
	}
	return verdict, err
}

// read asks for an object and judges it.
func (t *Target) read(ctx context.Context, r resource, id object.ID, rules *health.Rules) (health.Verdict, error) {
	live, err := t.s.get(ctx, r, nameOf(id))
	switch {
	case apierrors.IsNotFound(err):
		return health.Missing(id, false), nil
	case err != nil:
		return health.Verdict{}, t.failure("reading", id, err)
	}
	return health.Judge(live, rules), nil
}
