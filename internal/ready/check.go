package ready

import (
	"fmt"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
)

// Options are the flags that change what ready means.
type Options struct {
	// Additive: a readyExpr is asked beside the built-in check, not in its place
	// (gate AdditiveCELDependencyCheck).
	Additive bool
}

// Wait is a dependency that is not ready.
type Wait struct {
	On types.NamespacedName
	// Why names the dependency and says what it lacks: Flux's text, then what the
	// dependency says of itself.
	Why string
}

// Outcome is empty if all dependencies are ready.
type Outcome struct {
	Waiting []Wait // in the order of spec.dependsOn
}

// Check looks at every dependency, where Flux stops at the first that is not
// ready. revision is that of the source's artifact now. A peer that is nil or
// left out was not found. An error is an InvalidExpression: only a changed spec
// helps. (kustomize-controller internal/controller checkDependencies)
func Check(self *kustomizev1.Kustomization, revision string, peers map[types.NamespacedName]*kustomizev1.Kustomization, o Options) (Outcome, error) {
	var outcome Outcome
	exprs, err := compile(self)
	if err != nil {
		return outcome, err
	}
	for i, ref := range self.Spec.DependsOn {
		name := nameOf(self, ref)
		c := check{self: self, peer: peers[name], name: name, revision: revision}
		if why := c.waits(exprs[i], o); why != "" {
			outcome.Waiting = append(outcome.Waiting, Wait{On: name, Why: why})
		}
	}
	return outcome, nil
}

func nameOf(self *kustomizev1.Kustomization, ref meta.DependencyReference) types.NamespacedName {
	if ref.Namespace == "" {
		ref.Namespace = self.Namespace
	}
	return types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}
}

// check is the question about one dependency.
type check struct {
	self, peer *kustomizev1.Kustomization
	name       types.NamespacedName
	revision   string
}

// waits gives the reason to wait; none if the dependency is ready.
func (c check) waits(expr *expression, o Options) string {
	if c.peer == nil {
		return fmt.Sprintf("dependency '%s' not found", c.name)
	}
	if expr != nil {
		holds, err := expr.holds(c.self, c.peer)
		if err != nil {
			return fmt.Sprintf("dependency '%s': %v", c.name, err)
		}
		if !holds {
			return fmt.Sprintf("dependency '%s' is not ready according to readyExpr eval", c.name) + detail(ownWords(c.peer), suspended(c.peer))
		}
		if !o.Additive {
			return ""
		}
	}
	return c.builtIn()
}

// builtIn is what Flux asks of a dependency without an expression.
func (c check) builtIn() string {
	status := c.peer.Status
	switch {
	case len(status.Conditions) == 0 || c.peer.Generation != status.ObservedGeneration:
		return fmt.Sprintf("dependency '%s' is not ready", c.name) + detail(unobserved(c.peer), suspended(c.peer))
	case !apimeta.IsStatusConditionTrue(status.Conditions, meta.ReadyCondition):
		return fmt.Sprintf("dependency '%s' is not ready", c.name) + detail(ownWords(c.peer), suspended(c.peer))
	case sameSource(c.self, c.peer) && (c.revision == "" || c.revision != status.LastAppliedRevision):
		return fmt.Sprintf("dependency '%s' revision is not up to date", c.name) + detail(c.behind(), suspended(c.peer))
	}
	return ""
}

// sameSource: two that are built from one source have to follow it together.
func sameSource(a, b *kustomizev1.Kustomization) bool {
	return sourceOf(a) == sourceOf(b)
}

func sourceOf(k *kustomizev1.Kustomization) kustomizev1.CrossNamespaceSourceReference {
	ref := k.Spec.SourceRef
	if ref.Namespace == "" {
		ref.Namespace = k.Namespace
	}
	ref.APIVersion = ""
	return ref
}
