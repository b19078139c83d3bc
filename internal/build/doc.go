// Package build turns a directory of a bundle into objects, as Flux builds it.
//
// In: a bundle's file system, the Kustomization that asks for it, and the
// variables that were read for it. Out: objects ready to be applied, in
// kustomize's order, and what a reader should know of them; or an error that
// names the file or the object. It is pure: it reads nothing but the given
// file system, fetches nothing, writes nothing, and never shows a value that
// came from a Secret.
package build
