// Package oracle proves, by tests only, that Sluice makes and takes the same
// bytes as Flux: it runs Flux's own modules beside ours and compares.
//
// In: generated trees, ignore rules, tags and, if the environment variable
// SLUICE_CORPUS names them, real bundles. Out: nothing but verdicts. It is a
// module of its own so that Flux's dependencies never become the product's,
// and nothing may import it.
package oracle
