package cli

import (
	"context"
	"fmt"
	"strings"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// brokenPort is one that no API server accepts.
const goodPort, brokenPort = "containerPort: 8443", "containerPort: 99999"

func (s *story) broken(ctx context.Context) error {
	st := s.staging()
	running := []string{apiserver, processor, "activity-ui", "activity-load-generator", "activity-observability"}
	before, err := st.marks(ctx, running...)
	if err != nil {
		return err
	}
	for _, e := range [][3]string{
		{"base/deployment.yaml", goodPort, brokenPort},
		{"base/apiserver.yaml", "retention: 90d", "retention: 180d"},
	} {
		if err := s.shop.edit(e[0], e[1], e[2]); err != nil {
			return err
		}
	}
	v, err := s.shop.prerelease(ctx, "v1.4.0")
	if err != nil {
		return err
	}
	err = s.until(ctx, func() string {
		if k := st.kustomization(apiserver); !refused(k, v.revision(st.name), "Deployment/"+activityNamespace+"/"+apiserver, "99999") {
			return apiserver + " " + says(k)
		}
		for _, name := range []string{processor, "activity-observability"} {
			if k := st.kustomization(name); !waitsFor(k, apiserver) {
				return name + " " + says(k)
			}
		}
		if k := st.kustomization("activity-load-generator"); !waitsFor(k, processor) {
			return k.Name + " " + says(k)
		}
		return ""
	})
	if err != nil {
		return err
	}
	after, err := st.marks(ctx, running...)
	if err != nil {
		return err
	}
	if why := changed(before, after); why != "" {
		return fmt.Errorf("what ran has changed: %s", why)
	}
	return s.runEverywhere(st, "v1.3.0")
}

// refused tells whether a Kustomization failed at a revision with all words.
func refused(k *kustomizev1.Kustomization, revision string, words ...string) bool {
	c := readyOf(k)
	if c == nil || c.Status != metav1.ConditionFalse || k.Status.LastAttemptedRevision != revision {
		return false
	}
	for _, word := range words {
		if !strings.Contains(c.Message, word) {
			return false
		}
	}
	return true
}

// waitsFor tells whether a Kustomization says that it waits for another.
func waitsFor(k *kustomizev1.Kustomization, other string) bool {
	c := readyOf(k)
	return c != nil && c.Status == metav1.ConditionFalse && c.Reason == meta.DependencyNotReadyReason &&
		strings.Contains(c.Message, activityNamespace+"/"+other)
}

func (s *story) mended(ctx context.Context) error {
	if err := s.shop.edit("base/deployment.yaml", brokenPort, goodPort); err != nil {
		return err
	}
	v, err := s.shop.prerelease(ctx, "v1.4.1")
	if err != nil {
		return err
	}
	if err := s.arrive(ctx, v); err != nil {
		return err
	}
	return s.runEverywhere(s.staging(), "v1.4.1")
}

func (s *story) suspend(ctx context.Context) error {
	st := s.staging()
	if err := s.setSuspend(ctx, st, true); err != nil {
		return err
	}
	before, err := st.marks(ctx, apiserver)
	if err != nil {
		return err
	}
	v, err := s.shop.prerelease(ctx, "v1.5.0")
	if err != nil {
		return err
	}
	err = s.until(ctx, func() string { // everything before and after it has seen the release
		if k := st.kustomization(migrations); !isReady(k) || k.Status.LastAppliedRevision != v.revision(st.name) {
			return migrations + " " + says(k)
		}
		if k := st.kustomization(processor); !waitsFor(k, apiserver) {
			return processor + " " + says(k)
		}
		return ""
	})
	if err != nil {
		return err
	}
	after, err := st.marks(ctx, apiserver)
	if err != nil {
		return err
	}
	if why := changed(before, after); why != "" {
		return fmt.Errorf("what is suspended has changed: %s", why)
	}
	if err := s.setSuspend(ctx, st, false); err != nil {
		return err
	}
	if err := s.arrive(ctx, v); err != nil {
		return err
	}
	return s.runEverywhere(st, "v1.5.0")
}

func (s *story) setSuspend(ctx context.Context, st *stage, on bool) error {
	k := st.kustomization(apiserver).DeepCopy()
	return st.Patch(ctx, k, client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"suspend":%t}}`, on)))
}
