// Package cli is the shell that people and CI jobs type into: one file per
// verb.
//
// In: arguments, environment and streams, all of them handed in. Out: data on
// stdout, everything else on stderr, and an exit code. It holds no logic of
// delivery: a verb reads flags, calls the flow or an edge, and prints.
package cli
