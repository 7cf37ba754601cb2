//go:build unix

package partial

import (
	"io/fs"
	"syscall"
)

// isLinked reports whether a file has another name, whose file would change with
// it.
func isLinked(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Nlink > 1
}
