// Package transfer moves large blobs into and out of registries, and copies an
// artifact with everything that is attached to it. Nothing starts over: each
// engine goes on from the bytes that were proven to be there, also those of a
// process that was killed.
//
//   - [Uploader] goes down a ladder until a blob is there: it is, another
//     repository of the registry has it, one request, several. A file is hashed
//     beside while the kernel sends it; where more are sent at once than there are
//     processors, each is read once, hashed and sent from there. What registries do
//     not take is a table (traits) and what was learned of them ([Profiles]), not
//     branches; sessions that did not end are in journals.
//   - [Fetcher.Download] brings what is missing of a blob into a partial.File: over
//     one connection first, then over as many lanes as make it faster, which one
//     governor decides for all blobs, and none as long as this side is slower than one; from mirrors in their order, from the
//     registry last. [Fetcher.Fetch] gives one stream and goes on where it was cut.
//   - [Copy] copies a graph: blobs first, what names them after, so that
//     whoever finds a manifest finds all that it names. Between registries large
//     blobs go through a spool on disk.
//
// Nothing here decides that bytes are the blob: package partial does, and the
// registry that is sent to.
//
// References:
//   - https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#push
//   - https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-blobs
package transfer
