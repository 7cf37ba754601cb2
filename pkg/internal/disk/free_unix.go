//go:build linux || darwin

package disk

import (
	"math"

	"golang.org/x/sys/unix"
)

// Free returns how many bytes fit below dir, when that can be known.
func Free(dir string) (free int64, known bool) {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil || st.Bsize <= 0 {
		return 0, false
	}
	block := uint64(st.Bsize)
	if st.Bavail > math.MaxInt64/block {
		return 0, false
	}
	return int64(st.Bavail * block), true
}
