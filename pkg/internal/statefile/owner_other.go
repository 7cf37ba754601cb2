//go:build !unix

package statefile

import "io/fs"

func isOwner(fs.FileInfo) bool { return true }
