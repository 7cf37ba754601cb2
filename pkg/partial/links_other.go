//go:build !unix

package partial

import "io/fs"

// isLinked cannot be known cheaply here.
func isLinked(fs.FileInfo) bool { return false }
