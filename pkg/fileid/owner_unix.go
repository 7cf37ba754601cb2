//go:build unix

package fileid

import (
	"io/fs"
	"syscall"
)

// SameOwner reports whether two files belong to one user. Compared with a file
// that was made just now, it tells whether one is this process's own, also where a
// network file system puts another user in the place of root.
func SameOwner(a, b fs.FileInfo) bool {
	x, ok := a.Sys().(*syscall.Stat_t)
	y, also := b.Sys().(*syscall.Stat_t)
	return ok && also && x.Uid == y.Uid
}
