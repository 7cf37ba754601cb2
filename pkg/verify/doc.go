// Package verify decides whether a model may be used: bundles, rules and keys
// for one manifest go in, and [Verified] or a typed refusal comes out. It does no
// I/O and asks nobody.
//
// Three answers are not the same thing: [*Refusal] says that the rules are not
// met, [*Undecided] that there is nothing to decide with, any other error that
// the subject itself is broken.
//
// What counts as a signature: a Sigstore bundle v0.3 with a DSSE envelope whose
// only signature verifies with a key that the rules name, over an in-toto
// statement with exactly the predicate type of a cosign signature and the digest
// of the manifest as a subject. The predicate type is read from the signed
// payload, so that an SBOM or a scan result that the same key has signed is no
// signature of the model (cosign CVE-2022-35929). An OMS statement binds the
// files: every resource must be a layer with that path and digest, and every
// layer a resource.
//
// Bundles that do not count are reported and never fatal by themselves: anybody
// can attach one.
package verify
