package cluster

import (
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func TestRefusalIsAboutTheWishOrTheMoment(t *testing.T) {
	kind := schema.GroupKind{Group: "apps", Kind: "Deployment"}
	resource := schema.GroupResource{Group: "apps", Resource: "deployments"}
	invalid := func(detail string) error {
		return apierrors.NewInvalid(kind, "x", field.ErrorList{field.Invalid(field.NewPath("spec"), "value", detail)})
	}
	tests := []struct {
		name               string
		err                error
		passing, immutable bool
	}{
		{"nobody answered", errors.New("EOF"), true, false},
		{"overload", apierrors.NewTooManyRequests("later", 1), true, false},
		{"a webhook that does not answer", apierrors.NewInternalError(errors.New("failed calling webhook: is immutable")), true, false},
		{"an object that does not fit", apierrors.NewInternalError(errors.New("failed to create typed patch object (ns/x): .spec.a: field not declared in schema")), false, false},
		{"no right", apierrors.NewForbidden(resource, "x", errors.New("no")), false, false},
		{"invalid", invalid("must be positive"), false, false},
		{"immutable", invalid("field is immutable"), false, true},
		{"a rule of a custom kind", invalid("Value is immutable"), false, true},
		{"a webhook's no", apierrors.NewForbidden(resource, "x", errors.New("admission webhook denied: the spec is immutable")), false, true},
		{"conflict", apierrors.NewConflict(resource, "x", errors.New("changed")), true, false},
		{"spec", invalid("updates to statefulset spec for fields other than 'replicas' are forbidden"), false, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := passing(test.err); got != test.passing {
				t.Errorf("passing: %v", got)
			}
			if got := immutable(test.err); got != test.immutable {
				t.Errorf("immutable: %v", got)
			}
		})
	}
}
