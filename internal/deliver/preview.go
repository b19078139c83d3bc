package deliver

import (
	"context"
	"errors"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"

	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/plan"
)

// Preview is what a roll-out would do if it began now.
type Preview struct {
	Plan plan.Plan `json:"plan"`
	// Waiting says what would be waited for before anything is done; empty if
	// nothing.
	Waiting string `json:"waiting,omitempty"`
	// Checks is how many objects' health would be waited for.
	Checks int `json:"checks"`
}

// Plan computes the plan that a roll-out would carry out now, by the steps that
// it would take, and does nothing. An error is what the roll-out would fail
// with before there is a plan.
func (e *Engine) Plan(ctx context.Context, o Occasion) (Preview, error) {
	r := e.imagine(o)
	var p Preview
	for _, step := range []func(*rollout, context.Context) turn{(*rollout).accept, (*rollout).awaitSource, (*rollout).depend, (*rollout).build, (*rollout).connect} {
		t := step(r, ctx)
		if err := t.problem(); err != nil {
			return p, errors.New(r.mask(err.Error()))
		}
		if t.wait {
			p.Waiting = r.journal.(*note).waiting
		}
		if t.wait && (r.source.Artifact == nil || p.Waiting == "") {
			return p, nil
		}
	}
	if err := r.compute(ctx); err != nil {
		return p, errors.New(r.mask(err.Error()))
	}
	p.Plan, p.Checks = r.maskPlan(r.plan), len(r.checks())
	return p, nil
}

// maskPlan takes values of Secrets out of what servers said.
func (r *rollout) maskPlan(p plan.Plan) plan.Plan {
	for _, stage := range p.Stages {
		for i := range stage.Steps {
			stage.Steps[i].Why = r.mask(stage.Steps[i].Why)
		}
	}
	for i := range p.Prune {
		p.Prune[i].Why = r.mask(p.Prune[i].Why)
	}
	for i := range p.Notes {
		p.Notes[i] = r.mask(p.Notes[i])
	}
	p.Held = r.mask(p.Held)
	return p
}

// Wants builds a Kustomization without delivering it.
func (e *Engine) Wants(ctx context.Context, o Occasion) (*Wanted, error) {
	r := e.imagine(o)
	t := r.build(ctx)
	if err := t.problem(); err != nil {
		return nil, err
	}
	if t.wait {
		return nil, ErrNoArtifact
	}
	return wantedOf(r.wish, r.built), nil
}

// imagine makes a roll-out that writes nothing down.
func (e *Engine) imagine(o Occasion) *rollout {
	return &rollout{
		Engine: e, journal: &note{}, object: o.Kustomization, source: o.Source, cycle: o.Cycle, wish: o.wish(),
		seen: &history{}, warned: &warnings{}, said: &utterance{}, pressing: true,
	}
}

func (t turn) problem() error {
	if t.failed != nil {
		return errors.New(t.failed.Text)
	}
	return t.err
}

// note is a journal that nobody reads but its owner.
type note struct{ waiting string }

func (n *note) Begin(*kustomizev1.Kustomization) {}

func (n *note) Record(_ context.Context, e event.Event) error {
	if e.Waiting != nil {
		n.waiting = e.Waiting.Text
	}
	return nil
}
