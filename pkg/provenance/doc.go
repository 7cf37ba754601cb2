// Package provenance writes SLSA provenance v1 from what a build system says of itself
// in the environment it gives its jobs, and from the records that training leaves
// beside a model. It is honest about what that is worth: whoever sets the environment
// writes the provenance, and only the identity that signs it says more. That is SLSA
// Build level 1 (https://slsa.dev/spec/v1.1/levels), whatever the build system is;
// a build type of modseal's own says so, since those of the build systems are for
// provenance that a builder makes which its jobs cannot reach.
//
// Of the environment only variables that are named here are read, and of those none
// that holds a secret; logins in URLs are dropped. There is no clock: times are those
// that the build system or the caller gives, when they are asked for.
package provenance
