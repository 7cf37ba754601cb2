// Package transfer moves large blobs into and out of registries, and copies an
// artifact with everything that is attached to it.
//
//   - [Uploader] reads a file once, hashing it while it is sent; where a
//     registry insists on knowing the digest first it hashes, looks whether the
//     blob is there, and sends.
//   - [Fetcher] gives one stream of a blob and goes on where it was cut.
//   - [Copy] copies a graph: blobs first, what names them after, so that
//     whoever finds a manifest finds all that it names.
//
// References:
//   - https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#push
//   - https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-blobs
package transfer
