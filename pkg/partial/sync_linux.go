package partial

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData puts the bytes of f on disk; when it was touched is not needed there.
func syncData(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return err
		}
	}
}
