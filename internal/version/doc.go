// Package version chooses which of a repository's tags a source follows.
//
// In: a Policy (what the spec asks for), the list of tags, and what the source
// follows now. Out: a Selection, with one reason for every tag that was not
// chosen. It is pure: equal input gives an equal Selection, whatever the order
// of the tags. It never asks a registry.
//
// The rules are those of source-controller, ocirepository_controller.go
// getArtifactRef and getTagBySemver, and fluxcd/pkg/version; ties and
// downgrades, which Flux leaves open, are decided here.
package version
