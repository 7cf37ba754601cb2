//go:build unix

package partial

import (
	"io/fs"
	"os"
	"syscall"

	"github.com/modseal/modseal/pkg/fileid"
)

// isLinked reports whether a file has another name, whose file would change with
// it.
func isLinked(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Nlink > 1
}

// isOwn reports whether a file belongs to who would own one that this process
// makes in root now, which is not always its user: servers of network file systems
// put another in the place of root.
func isOwn(root *os.Root, name string, info fs.FileInfo) bool {
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) == os.Geteuid() {
		return true
	}
	probe := name + journalSuffix + newSuffix
	_ = root.Remove(probe)
	f, err := root.OpenFile(probe, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return false
	}
	defer func() {
		_ = f.Close()
		_ = root.Remove(probe)
	}()
	mine, err := f.Stat()
	return err == nil && fileid.SameOwner(mine, info)
}

// allocated returns how many bytes of disk a file takes.
func allocated(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return 0
}
