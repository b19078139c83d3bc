// Package follow is the path of a source: from what its repository offers to
// an artifact in the store. It is the only place that orders these effects.
//
// In: a Want (what the spec asks for), a Have (what the status says is
// stored), and ports to a repository and a store. Out: events, nothing else.
// It decides nothing by itself (package version does), never writes status,
// never sleeps, and after any error or kill the next run starts over from what
// is really there.
package follow
