//go:build !unix

package statefile

import "io/fs"

// isOwner cannot be known by modes here.
func isOwner(fs.FileInfo) bool { return true }
