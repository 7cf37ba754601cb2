package materialize

import (
	"os"
	"runtime"
)

// syncDir puts the names in a directory on disk. Windows gives no way to, and
// NTFS journals its names.
func syncDir(root *os.Root, name string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	dir, err := root.Open(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
