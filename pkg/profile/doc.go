// Package profile knows the annotations by which an artifact says what is attached to
// it: the CNCF AI interoperability profile, and what backs each of its promises.
//
// The profile is a draft of the CNCF initiative "Cloud Native and OCI Compliant
// Inner-Loop Tooling & Packaging for AI Engineers", and nothing of it is fixed yet:
// "Interoperability Profile — OCI Annotation Conventions (Draft v0.1)",
// https://github.com/cncf/toc/pull/2299 as of commit
// 13cca3b096e09475a9ed9da22fbb101e6d364659. What it says of evidence is taken at its
// word: an annotation is a pointer and no proof, and counts as far as the artifact that
// it points to is there, is about this digest, and verifies.
//
// It also knows in what artifacts differ from the ModelPack specification that are read
// all the same: see [Deviations].
//
// The package reads no registry and verifies nothing: the door tells it what it found.
package profile
