// Package wire puts the parts together: the only package that knows every
// edge.
//
// In: options, as flags give them. Out: a running controller. It never holds
// logic: what it does is construct, connect and start.
package wire
