// Package publish is the path of a bundle to a registry: a directory becomes a
// tree, gets its image pins, is checked, and is packed.
//
// In: a tree, pins, entry points to check, and what is said about the content.
// Out: a Package, whose digest depends on nothing but these. It reads no
// clock, no environment and no network; uploading is an edge's work.
package publish
