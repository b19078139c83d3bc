package cluster

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func asStatus(err error, status *apierrors.APIStatus) bool { return errors.As(err, status) }

// passing tells whether an error is about the moment, not about what was asked.
func passing(err error) bool {
	var status apierrors.APIStatus
	if !asStatus(err, &status) {
		return true // nobody answered, or not in full
	}
	if untyped(err) {
		return false
	}
	code := status.Status().Code
	return code >= 500 || code == 429 || code == 401 || code == 408 ||
		apierrors.IsConflict(err) || errors.Is(err, context.DeadlineExceeded)
}

// untyped recognises an object that does not fit its schema. The API server
// answers that with a plain 500, but it stays so.
func untyped(err error) bool {
	return strings.Contains(err.Error(), "failed to create typed ")
}

// immutableWords are those in which the API server, its admission and the
// authors of custom kinds refuse to change a field. Flux takes every Invalid
// and every Conflict for that (fluxcd/pkg/ssa/errors/immutable.go).
var immutableWords = regexp.MustCompile(`(?i)\bis immutable\b|\bimmutable field\b|` +
	`\bmay not (be )?(change|changed|update|updated)\b|\bcannot (be )?(change|changed|updated)\b|` +
	`\bupdates to .* are forbidden\b`)

// immutable tells whether a refusal says that a field cannot be changed. It is a
// hint only: what may be replaced is decided by a try.
func immutable(err error) bool {
	var status apierrors.APIStatus
	if !asStatus(err, &status) || passing(err) {
		return false
	}
	details := status.Status().Details
	if !apierrors.IsInvalid(err) || details == nil || len(details.Causes) == 0 {
		return immutableWords.MatchString(status.Status().Message)
	}
	return slices.ContainsFunc(details.Causes, func(cause metav1.StatusCause) bool {
		return immutableWords.MatchString(cause.Message)
	})
}
