// Package certsd reads the directory in which containerd is told where the
// content of a registry can be had: certs.d/<host>/hosts.toml. A file that
// containerd takes means the same here; what containerd would pass over in
// silence, and what would be a danger if it did not mean what its author
// thought, is an error that names the file and the key.
//
// References:
//   - containerd 2.x, docs/hosts.md:
//     https://github.com/containerd/containerd/blob/main/docs/hosts.md
//   - Docker's pattern of certificate files, which counts where a directory has
//     no hosts.toml:
//     https://docs.docker.com/engine/security/certificates/
//
// The package opens no connection. Certificates are named here and read by who
// connects.
package certsd
