// Package artifact holds the names under which published content is known:
// repositories, tags, digests and the revision that ties a tag to a digest.
//
// In: text as users, registries and Flux objects write it. Out: values that
// are valid by construction and comparable. It never reads a file, a clock or
// the network, and it never guesses: text that is not a name is an error.
package artifact
