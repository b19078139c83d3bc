// Package status says what events mean: it folds them into the conditions,
// artifact and bookkeeping of an object's status, and into the notices that
// people get.
//
// In: the previous status, what it is about, events with their times. Out: the
// next status, the notices, the time of the next run. It is the only writer of
// conditions and reasons. It is pure: equal input gives equal output, folding
// the same events again changes nothing, and no clock is read.
//
// The wire form is that of source-controller (internal/controller,
// internal/reconcile) and fluxcd/pkg/runtime/conditions.
package status
