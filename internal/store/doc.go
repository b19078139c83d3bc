// Package store keeps artifacts on disk and serves them over HTTP in the
// layout that Flux's consumers know.
//
// In: layers by digest, archives to publish under the name of a source. Out:
// files below one directory, addressed by content, and the URLs they are
// served at. What is stored is verified against its digest when it comes in
// and again when the file is not the one that was verified before. It never
// talks to a registry and never decides what a source may see: a caller that
// asks for a layer by digest has proved that it may read it.
//
// Layout, below the storage path:
//
//	<kind>/<namespace>/<name>/<file>   what the artifact server hands out (Flux's layout)
//	.content/layers/<algorithm>/<hex>  compressed layers as registries serve them
//	.content/archives/<hex>            published files; the paths above are links to them
package store
