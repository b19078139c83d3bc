// Package archive turns directory trees into the gzipped tar files that Flux
// artifacts are made of, and back, byte-stable.
//
// In: a file system, or an untrusted tar.gz stream. Out: a Tree, which is an
// immutable in-memory fs.FS, or bytes that are equal for equal trees on every
// machine. It never writes to disk, never follows a link and never lets an
// entry point outside its root: what is unsafe is an error that names the entry.
package archive
