// Package archive is one file, or a set of parts, that carries artifacts with
// everything attached to them to a site without network: an uncompressed tar of
// an OCI image layout, which oras, skopeo and regctl read as it is.
//
// Where each byte of it lies is known before the first one comes, since a
// manifest says the size of all that it names. So blobs come in any order and
// over several connections straight to their place, a write that was killed goes
// on, and the same artifacts give the same bytes. What is written is proven:
// no entry is done before its bytes hash to its digest.
//
// A reader scans the headers once and then serves any part of any blob from
// where it lies. It believes nothing: entries that are no plain files, have odd or
// doubled names, or sizes that do not fit, make it refuse the archive before
// anything is taken from it. What an archive says about trust is never used by
// itself.
//
// References:
//   - https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
//   - the tar headers are GNU's, whose sizes beyond 8 GiB stand in the header of
//     the entry itself:
//     https://www.gnu.org/software/tar/manual/html_node/Extensions.html
package archive
