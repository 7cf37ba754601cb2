//go:build !unix

package partial

import (
	"io/fs"
	"os"
)

// isLinked cannot be known cheaply here.
func isLinked(fs.FileInfo) bool { return false }

// isOwn cannot either; no state of a hash is believed here, since file identities
// are not.
func isOwn(*os.Root, string, fs.FileInfo) bool { return true }

// allocated cannot be known cheaply either.
func allocated(fs.FileInfo) int64 { return 0 }
