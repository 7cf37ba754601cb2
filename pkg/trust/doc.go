// Package trust holds what a verifier believes: public keys, certificate
// authorities and the trusted roots of Sigstore instances, and what a signer is
// told about such an instance. A thing is trusted because the policy or the
// command line names it, never because it came with an artifact.
//
// Everything here can be kept in a [Store], which is read without a network, and
// carried to a site that has none in one file ([Encode], [Store.Import]). Only
// [Fetch] and [Store.Update] talk to anybody: to a repository of The Update
// Framework (TUF).
package trust
