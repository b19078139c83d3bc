// Package ready tells whether a Kustomization may start.
//
// In: a Kustomization, the revision of its source, the Kustomizations that its
// spec.dependsOn names. Out: what it waits for and why; nothing if it is ready.
// It never looks anything up and never waits.
package ready
