// Package oci reads and writes OCI registries: the edge behind OCIRepository
// objects and behind push, pull, tag and tags.
//
// In: an Access (a repository and the identity it is reached with). Out: tags,
// digests, manifests, layers, or a Failure that says what kind of no it was.
// Everything that several sources want to know of one repository with one
// identity is asked once and shared; nothing learned by one identity is ever
// given to another. It never decides which version to take, never caches
// credentials on disk and never calls without a bound in time.
package oci
