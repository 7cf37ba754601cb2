// Package verify decides whether a model may be used: bundles, rules and trust
// for one manifest go in, and [Verified] or a typed refusal comes out. It does no
// I/O and asks nobody.
//
// Three answers are not the same thing: [*Refusal] says that the rules are not
// met, [*Undecided] that there is nothing to decide with, any other error that
// the subject itself is broken. Several rulings, those of a site and of a project,
// decide together: all of them must accept.
//
// What counts as a signature: a Sigstore bundle v0.3 with a DSSE envelope whose
// only signature is by a signer that the rules name, over an in-toto statement with
// exactly the predicate type of a cosign signature and the digest of the manifest
// as a subject. The predicate type is read from the signed payload, so that an SBOM
// or a scan result that the same signer has made is no signature of the model
// (cosign CVE-2022-35929). An attestation is the same with a predicate type that
// the rules name. An OMS statement binds the files: every resource must be a layer
// with that path and digest, and every layer a resource.
//
// A signer is a key, the holder of a certificate that chains to roots of the
// policy, or an identity that an issuer vouched for to an authority in a trusted
// root. Every certificate of a chain must be valid at each trusted time of the
// signature: a timestamp or the time of a log entry, by services in the trusted
// root. Without such a time certificates of the policy's own authorities are judged
// now, and keyless ones not at all. No key, certificate or root that came with a
// bundle is trusted because it came with it. Signers are counted, never bundles.
//
// Bundles that do not count are reported and never fatal by themselves: anybody
// can attach one. [RequirementResult] says of each what it is and why it does not
// count; every reason is one of its own.
package verify
