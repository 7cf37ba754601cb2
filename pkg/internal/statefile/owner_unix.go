//go:build unix

package statefile

import (
	"io/fs"
	"os"
	"syscall"
)

// isOwner holds for a file of this user that nobody else may write.
func isOwner(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid() && info.Mode().Perm()&0o022 == 0
}
