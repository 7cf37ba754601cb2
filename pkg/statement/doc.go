// Package statement builds and reads in-toto statements: what is claimed about
// a model. It knows two of them in full, the cosign signature ([CosignSign]) and
// the OpenSSF Model Signing (OMS) manifest ([OMS]), and of every other one the
// header: its type, its predicate type and its subjects ([ParseHeader]).
//
// Statements are foreign bytes. They are read more strictly than encoding/json
// would: no duplicate keys at any depth, exact letter case of keys, valid UTF-8,
// bounded depth and counts. A statement says nothing until its signature was
// verified, which is done in pkg/verify.
//
// References:
//   - in-toto Statement v1:
//     https://github.com/in-toto/attestation/blob/v1.1.0/spec/v1/statement.md
//   - OpenSSF Model Signing v1.0:
//     https://github.com/ossf/model-signing-spec
//   - cosign bundles:
//     https://github.com/sigstore/cosign/blob/v3.0.0/specs/BUNDLE_SPEC.md
package statement
