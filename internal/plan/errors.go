package plan

import (
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/internal/object"
)

// UnservedError says that no server knows the kind of an object.
type UnservedError struct {
	ID         object.ID
	APIVersion string
}

func (e *UnservedError) Error() string {
	return fmt.Sprintf("%s: no server knows kind %s of %s: install its CustomResourceDefinition, or leave the object out", e.ID, e.ID.Kind, e.APIVersion)
}

// RefusedError is what the API server answered to a dry-run. Its text begins as
// Flux's does (pkg/ssa/errors/errors.go DryRunErr).
type RefusedError struct {
	ID  object.ID
	Err error
	// Replaceable: the object could be deleted and created anew.
	Replaceable bool
}

func (e *RefusedError) Unwrap() error { return e.Err }

func (e *RefusedError) Error() string {
	text := e.text()
	switch {
	case !e.Replaceable:
		return text
	case irreplaceable(e.ID):
		return fmt.Sprintf("%s: to have it deleted and created anew, with all it holds, mark the object itself with %s", text, mark(force, "enabled"))
	}
	return fmt.Sprintf("%s: to have it deleted and created anew, set spec.force or mark the object with %s", text, mark(force, "enabled"))
}

func (e *RefusedError) text() string {
	reason := string(apierrors.ReasonForError(e.Err))
	if cause, ok := apierrors.StatusCause(e.Err, metav1.CauseTypeFieldManagerConflict); ok {
		reason = string(cause.Type)
	}
	said := e.Err.Error()
	if e.ID.Kind == "Secret" {
		said, _, _ = strings.Cut(said, ", got &value") // the server repeats values of a wrong type
	}
	switch {
	case apierrors.IsNotFound(e.Err) && e.ID.Namespace == "":
		return fmt.Sprintf("%s namespace not specified: %s", e.ID, said)
	case apierrors.IsNotFound(e.Err):
		return fmt.Sprintf("%s not found: %s", e.ID, said)
	case reason != "":
		return fmt.Sprintf("%s dry-run failed (%s): %s", e.ID, reason, said)
	}
	return fmt.Sprintf("%s dry-run failed: %s", e.ID, said)
}
