// Package digestcache remembers the digests of files that were not touched since
// they were hashed, and which repositories hold them.
//
// What it remembers makes work cheaper and decides nothing: bytes that are read
// are believed over it, and a repository is asked before something is taken to
// be there.
package digestcache
