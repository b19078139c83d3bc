// Package notify takes notices to where people and other programs read them:
// Kubernetes Events and Flux's notification-controller.
//
// In: notices, from anywhere, at any rate. Out: API objects and HTTP posts, in
// order per object. It never blocks who tells, never loses the newest notice
// of an object and a reason, and never holds more than one of each.
package notify
