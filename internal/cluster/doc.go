// Package cluster reaches the clusters that Kustomizations are applied to: the
// edge behind deliver's Target, and the only writer of user objects.
//
// In: an identity (a kubeconfig, a ServiceAccount), wanted objects, the steps of
// a plan. Out: what is live, what an apply would make of it, verdicts, and calls
// of Options.Changed when an object of a Kustomization became another. Of each
// cluster one connection, one discovery and one watch per kind are shared by all
// who deliver to it; they keep digests and verdicts, never objects. Nothing that
// was learned with the controller's rights is told to an identity that may not
// read it. It never decides what to do, never writes anything but a step, and
// never calls without a bound in time.
package cluster
