package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/fluxcd/pkg/apis/meta"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/internal/lab"
)

func (s *story) killed(ctx context.Context) error {
	st := s.staging()
	v, err := s.shop.release(ctx, "v1.6.0")
	if err != nil {
		return err
	}
	err = s.until(ctx, func() string { // the Job runs: what it holds up has not begun
		if k := st.kustomization(migrations); k.Status.LastAttemptedRevision != v.revision(st.name) {
			return migrations + " " + says(k)
		}
		return ""
	})
	if err != nil {
		return err
	}
	if err := lab.Kill(s.dir, "controller-"+st.name); err != nil {
		return err
	}
	if st.behind(v) == "" {
		return errors.New("the roll-out was over before the controller was killed")
	}
	if err := s.arrive(ctx, v); err != nil {
		return err
	}
	for _, st := range s.stages {
		if err := s.runEverywhere(st, "v1.6.0"); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) registryAway(ctx context.Context) error {
	before, err := s.staging().marks(ctx)
	if err != nil {
		return err
	}
	if err := lab.Hold(s.dir, "registry"); err != nil {
		return err
	}
	defer func() { _ = lab.Release(s.dir, "registry") }()
	if err := s.look(ctx, s.staging()); err != nil {
		return err
	}
	if c := s.sourceReady(); c == nil || c.Status != metav1.ConditionFalse {
		return errors.New("the source does not say that the registry is away")
	}
	if why := s.staging().behind(s.now); why != "" {
		return fmt.Errorf("what runs has not stayed: %s", why)
	}
	after, err := s.staging().marks(ctx)
	if err != nil {
		return err
	}
	if why := changed(before, after); why != "" {
		return fmt.Errorf("what runs has changed: %s", why)
	}
	if err := lab.Release(s.dir, "registry"); err != nil {
		return err
	}
	err = s.until(ctx, func() string { // by itself
		if c := s.sourceReady(); c == nil || c.Status != metav1.ConditionTrue {
			return "the source is not Ready again"
		}
		return ""
	})
	if err != nil {
		return err
	}
	v, err := s.shop.release(ctx, "v1.7.0")
	if err != nil {
		return err
	}
	return s.arrive(ctx, v)
}

func (s *story) sourceReady() *metav1.Condition {
	return apimeta.FindStatusCondition(s.staging().source().Status.Conditions, meta.ReadyCondition)
}
