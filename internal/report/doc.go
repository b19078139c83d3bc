// Package report shows what a cluster says of itself.
//
// In: Flux's objects and Kubernetes Events, read or watched. Out: rows, trees
// and graphs as values, their text and JSON, and views that follow a roll-out.
// It decides nothing, never writes to a cluster, and never polls where it can
// watch.
package report
