// Package diff says how two states of an object differ, field by field.
//
// In: the live object and what applying would make of it. Out: changes with
// paths and values. It is pure. It never shows a value of a Secret.
package diff

// Change is one field that differs.
type Change struct {
	// Path in the form .spec.containers[name=app].image.
	Path string `json:"path"`
	// Old and New are nil where the field is not there; values of Secrets are
	// replaced by Masked.
	Old any `json:"old,omitempty"`
	New any `json:"new,omitempty"`
}

// Masked stands for a value that is not shown.
const Masked = "*** (changed)"
