// Package lab runs a whole world on one machine: real API servers and a real
// registry, each a process of the sluice-lab binary, with one Sluice
// controller per cluster.
//
// In: a directory and the names of clusters. Out: processes that serve, and
// files in the directory that say where. It supervises: what dies is started
// again, what a killed predecessor left behind is ended first, and nothing
// outlives it. It never touches a process that it did not start, and knows
// nothing of Kubernetes but how to install Flux's CRDs.
package lab
