// Package digestcache remembers the digests of files that were not touched since
// they were hashed, and which repositories hold them.
package digestcache
