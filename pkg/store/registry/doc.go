// Package registry serves a directory of OCI layouts, one for each repository at
// DIR/<repository>, as an OCI registry: pkg/store is what reads and writes them, and
// pkg/registry is the protocol.
//
// Other processes may use the layouts at the same time, another server among them.
// What is served is no more trusted than the directory: a manifest is compared with
// its digest before it is sent, and a blob is for the client to compare, as with any
// registry. What is pushed is compared before it has a name. No name of a repository,
// and no symbolic link, leads out of the directory.
package registry
