// Package diff says in what two artifacts differ: files, tensors, fields of
// configs, and claims with who made them. It compares digests and what manifests,
// configs and headers say, and needs no byte of a weight.
//
// It is pure: what is compared was read by others. Each function takes what is
// known of both sides and returns what changed from the first to the second, in an
// order that depends on nothing else.
package diff

// Change says how something came to differ.
type Change string

// The changes.
const (
	Added   Change = "added"   // only the second has it
	Removed Change = "removed" // only the first has it
	Changed Change = "changed" // both have it, and it differs
	Renamed Change = "renamed" // a file: the same bytes under another path
)
