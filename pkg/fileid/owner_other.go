//go:build !unix

package fileid

import "io/fs"

// SameOwner cannot tell here: Of trusts nothing here either.
func SameOwner(_, _ fs.FileInfo) bool { return true }
