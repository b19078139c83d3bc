// Package fleet reads sluice.yaml, which says what a repository of Kustomize
// overlays is for: the clusters it serves, and where the bundles are made that
// they follow.
//
// In: the text of the file. Out: a Fleet, or an error that names the line. It
// reads no other file: paths are as written, relative to the file's directory.
// It never guesses: a field that it does not know is an error.
package fleet
