// Package registry serves what an archive holds as an OCI registry that nobody
// can write to: the pull and content discovery parts of the distribution
// specification, straight from the file, with ranges and with the referrers API.
//
// What comes out of it is no more trusted than the archive: a manifest is compared
// with its digest before it is sent, and a blob is for the client to compare, as
// with any registry. pkg/registry is the protocol.
//
// Reference:
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md
package registry
