// Package source turns a directory (or one file) into the ordered files of a
// model: regular files with safe relative paths, each with the role that its
// name and its content give it.
//
// It reads names, metadata and the first bytes of files, never their whole
// content. Nothing is left out silently: symbolic links, devices and names that
// a model cannot have are errors, and what the default rules exclude is listed
// in the [Tree].
package source
