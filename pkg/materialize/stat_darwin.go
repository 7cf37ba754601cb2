package materialize

import (
	"io/fs"
	"syscall"
)

const modesMatter = true

// identify returns the fingerprint of a file, and whether any change of the file
// changes it.
func identify(info fs.FileInfo) (fingerprint, bool) {
	at := fingerprint{Size: info.Size(), MtimeNs: info.ModTime().UnixNano()}
	st, ok := info.Sys().(*syscall.Stat_t)
	if ok {
		at.CtimeNs, at.Inode, at.Dev = st.Ctimespec.Nano(), st.Ino, uint64(uint32(st.Dev))
	}
	return at, ok
}
