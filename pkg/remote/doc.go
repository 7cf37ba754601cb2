// Package remote is the way to a registry: references, credentials, TLS,
// retries, and a repository with its manifests, tags, small blobs and
// referrers. The engines for large blobs are in package transfer; they use the
// same token cache through [Repository.Do].
//
// References:
//   - OCI distribution specification v1.1.1:
//     https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md
//
// Three promises hold for every request. Credentials go to the host they are
// for and to no other, redirects included. What a registry sends is read up to
// a named limit. Errors name the registry, the repository and what was asked
// for, never a secret.
package remote
