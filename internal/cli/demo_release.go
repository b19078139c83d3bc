package cli

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func (s *story) together(ctx context.Context) error {
	if err := s.shop.edit("base/apiserver.yaml", "retention: 30d", "retention: 90d"); err != nil {
		return err
	}
	v, err := s.shop.release(ctx, "v1.2.0")
	if err != nil {
		return err
	}
	seen := map[string]int{}
	for _, st := range s.stages {
		seen[st.name] = st.pairs()
	}
	if err := s.arrive(ctx, v); err != nil {
		return err
	}
	for _, st := range s.stages {
		if err := s.runEverywhere(st, "v1.2.0"); err != nil {
			return err
		}
		if got := st.retention(); got != "90d" {
			return fmt.Errorf("in %s the API server is configured with retention %q", st.name, got)
		}
		// From the old pair to the new one, and nothing in between.
		if n := st.pairs() - seen[st.name]; n != 1 {
			return fmt.Errorf("in %s image and configuration changed in %d steps", st.name, n)
		}
	}
	return nil
}

func (s *stage) pairs() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.paired)
}

// retention is what the ConfigMap says that the API server's pods mount.
func (s *stage) retention() string {
	for _, v := range s.deployment(apiserver).Spec.Template.Spec.Volumes {
		if v.ConfigMap == nil {
			continue
		}
		if c := find[*corev1.ConfigMap](s, activityNamespace, v.ConfigMap.Name); c != nil {
			_, rest, _ := strings.Cut(c.Data["apiserver.yaml"], "retention: ")
			value, _, _ := strings.Cut(rest, "\n")
			return value
		}
	}
	return ""
}

func (s *story) sameContent(ctx context.Context) error {
	before := map[string]map[string]string{}
	var err error
	for name, st := range s.stages {
		if before[name], err = st.marks(ctx); err != nil {
			return err
		}
	}
	v, err := s.shop.again(ctx, s.now)
	if err != nil {
		return err
	}
	if v.digest == s.now.digest {
		return fmt.Errorf("the digest %s is not new", v.digest)
	}
	if err := s.arrive(ctx, v); err != nil {
		return err
	}
	for name, st := range s.stages {
		after, err := st.marks(ctx)
		if err != nil {
			return err
		}
		if why := changed(before[name], after); why != "" || len(after) == 0 {
			return fmt.Errorf("in %s, of %d objects: %s", name, len(after), why)
		}
	}
	return nil
}

func (s *story) pruned(ctx context.Context) error {
	there := func(st *stage) bool {
		return find[*policyv1.PodDisruptionBudget](st, activityNamespace, apiserver) != nil
	}
	for _, st := range s.stages {
		if !there(st) {
			return fmt.Errorf("in %s PodDisruptionBudget %s is not there", st.name, apiserver)
		}
	}
	if err := s.shop.edit("base/kustomization.yaml", "- pod-disruption-budget.yaml\n", ""); err != nil {
		return err
	}
	v, err := s.shop.release(ctx, "v1.3.0")
	if err != nil {
		return err
	}
	if err := s.arrive(ctx, v); err != nil {
		return err
	}
	return s.until(ctx, func() string {
		for _, st := range s.stages {
			switch {
			case there(st):
				return "in " + st.name + " PodDisruptionBudget " + apiserver + " is still there"
			case st.deployment(apiserver) == nil:
				return "in " + st.name + " Deployment " + apiserver + " is gone"
			}
		}
		return ""
	})
}

func (s *story) handEdit(ctx context.Context) error {
	st := s.staging()
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: activityNamespace, Name: apiserver}}
	patch := []byte(`{"spec":{"replicas":7}}`)
	if err := st.Patch(ctx, d, client.RawPatch("application/merge-patch+json", patch), client.FieldOwner("somebody")); err != nil {
		return err
	}
	edited := d.Generation
	return s.until(ctx, func() string {
		now := st.deployment(apiserver)
		if now == nil || now.Generation <= edited || *now.Spec.Replicas != 1 {
			return "the replicas are not put back"
		}
		return ""
	})
}
