// Package hint takes webhooks from registries as hints that a repository may
// have something new.
//
// In: HTTP posts of registries and forges, authenticated by a token or an
// HMAC. Out: names of repositories, at a bounded rate. It never believes what
// a post says beyond the name: the poller looks for itself.
package hint
