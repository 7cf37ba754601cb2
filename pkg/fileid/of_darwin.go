package fileid

import (
	"io/fs"
	"syscall"
)

// Of returns the identity of a file, and whether any change of the file changes
// it.
func Of(info fs.FileInfo) (id ID, trusted bool) {
	id = ID{Size: info.Size(), MtimeNs: info.ModTime().UnixNano()}
	st, ok := info.Sys().(*syscall.Stat_t)
	if ok {
		id.CtimeNs, id.Inode, id.Dev = st.Ctimespec.Nano(), st.Ino, uint64(uint32(st.Dev))
	}
	return id, ok
}
