// Package registry answers the HTTP protocol of the OCI distribution specification for
// any store of artifacts: an archive (pkg/archive/registry), a directory of layouts
// (pkg/store/registry).
//
// The protocol is that of cuelabs.dev/go/oci/ociregistry/ociserver, a library, over
// its interface of a registry. What the library leaves out, as of December 2025, is
// answered here: ranges of blobs in all their forms, lists that are empty or have
// pages, the bounds and digests of pushed manifests, cancelled uploads, mounts of what
// is not there, and where the next part of an upload has to begin. Each place says
// what the library does.
//
// Reference:
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md
package registry
