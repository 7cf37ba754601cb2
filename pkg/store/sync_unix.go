//go:build unix

package store

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// closeBeforeRename is whether an open file can have no other name.
const closeBeforeRename = false

// syncDir puts the names in a directory on disk.
func syncDir(root *os.Root, name string) error {
	dir, err := root.Open(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// tryLockFile locks an open file until it is closed.
func tryLockFile(f *os.File) (lockState, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return lockUnknown, err
	}
	var locked error
	err = conn.Control(func(fd uintptr) {
		for {
			locked = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB)
			if !errors.Is(locked, unix.EINTR) {
				return
			}
		}
	})
	switch {
	case err != nil:
		return lockUnknown, err
	case locked == nil:
		return lockedByUs, nil
	case errors.Is(locked, unix.EWOULDBLOCK):
		return lockedByOther, nil
	}
	return lockUnknown, locked
}
