// Package fileid tells without reading a file whether it is still the one that
// was read: by what the file system says of it.
package fileid

import (
	"fmt"
	"strings"
	"time"
)

// ID is how the file system shows that a file was touched. The change time
// cannot be set back by a program, as the modification time can.
type ID struct {
	Size    int64  `json:"size"`
	MtimeNs int64  `json:"mtimeNs"`
	CtimeNs int64  `json:"ctimeNs"`
	Inode   uint64 `json:"inode"`
	Dev     uint64 `json:"dev"`
}

// ClockTick is longer than the steps in which kernels stamp files: a file that
// was touched less than this ago can be touched again without getting another
// time.
const ClockTick = 25 * time.Millisecond

// Settled reports whether any later change of the file will show: whether it was
// touched last longer ago than the clock of the file system takes for a step.
// The modification time says nothing: programs set it.
func (id ID) Settled() bool {
	return time.Since(time.Unix(0, id.CtimeNs)) > ClockTick
}

// String returns a text that no other state of any file of this machine has.
func (id ID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id.Dev, id.Inode, id.Size, id.MtimeNs, id.CtimeNs)
}

// SameFile reports whether two texts of String are of one file, whatever was
// done to it in between.
func SameFile(a, b string) bool {
	dev, rest, ok := strings.Cut(a, "-")
	inode, _, found := strings.Cut(rest, "-")
	return ok && found && strings.HasPrefix(b, dev+"-"+inode+"-")
}
