// Package sign turns a statement into a Sigstore bundle v0.3. What signs is a key
// from a file, plain PEM or encrypted as cosign writes it ([Load]), a key that
// never leaves where it is ([FromSigner], package keyref), a key with the
// certificate of an authority ([Signer.WithCertificate]), or a key that lives for
// ten minutes and is certified for whoever an identity token names ([NewKeyless],
// package oidc). The package also makes keys for files.
//
// Where a signing configuration says so, transparency logs and timestamp
// authorities witness each signature ([Signer.WithServices]). What services answer
// is foreign: it is bounded, and verified with the trusted root before the bundle
// is handed out.
//
// Reference:
// https://github.com/sigstore/protobuf-specs/blob/v0.5.1/protos/sigstore_bundle.proto
package sign
