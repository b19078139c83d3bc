// Package build turns a directory of a bundle into objects, as Flux builds it.
//
// In: a file system and a directory of it. Out: objects in kustomize's order,
// or an error that names the file. It is pure: it reads nothing but the given
// file system, fetches nothing, and writes nothing.
package build
