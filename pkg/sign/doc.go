// Package sign turns a statement into a Sigstore bundle v0.3 with a key from a
// file: plain PEM, or encrypted as cosign writes it. It also makes such keys.
//
// Reference:
// https://github.com/sigstore/protobuf-specs/blob/v0.5.1/protos/sigstore_bundle.proto
package sign
