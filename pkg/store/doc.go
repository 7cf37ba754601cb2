// Package store keeps artifacts in an OCI image layout on disk
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md).
//
// A [Layout] can be used by many processes at once. Blobs are written to a
// temporary file of the layout, synced, and renamed to the name that their
// digest gives them, so a blob under its name is always whole. index.json is
// changed under a file lock, by read, change, write aside, sync, rename: no
// update is lost, and a reader, who needs no lock, sees the old or the new one.
// The same set of manifests and tags gives the same bytes of index.json.
//
// A manifest, which makes its blobs needed, comes after them. So who writes, or asks
// what exists, holds a lock that all writers share until the Layout is closed, and
// [Layout.Collect], which removes what nothing refers to, needs it alone. The lock
// ends with its process, as do those on temporary files.
//
// Other tools open the layout as it is: a manifest without tag is an entry of
// index.json without name (as oras-go writes it), and referrers are also listed
// in an image index under the fallback tag of the distribution specification,
// or, once olareg has taken the directory over, in the entry that olareg reads.
// Tools that write index.json without the lock, olareg among them, must not
// write at the same time.
//
// A layout may come from a stranger: no symbolic link in it is followed, no path
// leaves it, and its index and manifests are read within limits. What
// [Layout.Fetch] returns is not verified; the reader of a digest verifies it.
package store
