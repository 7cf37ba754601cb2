// Package promotion reads the declared set of modseal promote --plan: a YAML
// document that says which models belong where, by which policies, and who signs
// that it was so. It reads text and does no I/O: files that a plan names are
// relative to it, and opened by whoever promotes.
//
// Strict like a policy: a key that is unknown or stands there twice, a null, an
// anchor, an alias or a tag refuses the whole document, with its line.
package promotion
