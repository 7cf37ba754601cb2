// Package referrer attaches manifests to an artifact and finds those that are
// attached: signatures, attestations, SBOMs. It works on registries with the
// referrers API, on those without it by the referrers tag schema, and on OCI
// layouts.
//
// References:
//   - https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers
//   - https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#referrers-tag-schema
//   - the shape of signatures, as cosign v3 writes them:
//     https://github.com/sigstore/cosign/blob/v3.0.0/specs/BUNDLE_SPEC.md
//
// A listing is only a hint: what it names is fetched, checked against its
// digest, and kept only when its own subject is the one that was asked for.
// Nothing can tell whether a registry leaves entries out; who needs a referrer
// to be there must ask for it by a policy.
package referrer
