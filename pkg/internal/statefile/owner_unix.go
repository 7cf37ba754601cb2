//go:build unix

package statefile

import (
	"io/fs"
	"os"
	"syscall"
)

func isOwner(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}
