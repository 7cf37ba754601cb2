package materialize

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncFileSystem writes everything of the file system that holds root to disk;
// done says whether that could be tried.
func syncFileSystem(root *os.Root) (done bool, err error) {
	dir, err := root.Open(".")
	if err != nil {
		return true, err
	}
	defer dir.Close()
	return true, unix.Syncfs(int(dir.Fd()))
}
