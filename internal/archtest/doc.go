// Package archtest keeps the architecture true: its tests read the source and
// the documents, and fail when they part.
//
// In: the repository's files. Out: test failures that say which rule a file
// breaks. It holds no code that is built into anything.
package archtest
