//go:build !linux

package materialize

import "os"

// syncFileSystem can only be done on Linux.
func syncFileSystem(*os.Root) (done bool, err error) { return false, nil }
