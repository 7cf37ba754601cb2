// Package bom writes bills of materials of models, from what their files say and the
// digests of those files: CycloneDX 1.7 with a model card, SPDX 2.3, and SPDX 3.0.1
// with the AI and Dataset profiles. It reads one that somebody else wrote, too, and
// adds to it what is missing.
//
// The same model gives the same bytes, whether it lies in a directory or in a
// registry: nothing comes from a clock, a host name or the name of a directory, and
// what identifies a document is computed from its own content.
//
// What is not known is not said. The forms demand a time and a licence here and
// there where nothing is known; then it is the Unix epoch, and NOASSERTION.
package bom
