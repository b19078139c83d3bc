// Package controller is the shell that runs Sluice inside a cluster: it turns
// what happens to objects into runs of the flow, and what the flow learned
// into status.
//
// In: watch events, timers, hints. Out: status patches and notices. It makes
// no decision of its own (packages version and status do) and holds up no
// worker: a run that talks to a registry goes on beside the workers, is called
// off when its object changes, and wakes its object when it is done.
package controller
