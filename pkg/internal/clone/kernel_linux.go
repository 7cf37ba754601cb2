package clone

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// refused reports whether the kernel says that it, or the file system, cannot do
// this for these files, and not that it went wrong. EPERM and EACCES are what
// sandboxes answer.
func refused(err error) bool {
	for _, e := range []unix.Errno{
		unix.EXDEV, unix.EOPNOTSUPP, unix.EINVAL, unix.ENOSYS, unix.EPERM, unix.EACCES, unix.ETXTBSY,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// share makes dst share all blocks of src (ioctl_ficlone(2)). Any failure is
// answered by copying, which fails again, and clearly, if it must: a share is
// all or nothing.
func share(dst, src *os.File) bool {
	err := descriptors(dst, src, func(d, s int) error { return unix.IoctlFileClone(d, s) })
	return err == nil
}

// copyRange copies up to n bytes at the same offset of both files inside the
// kernel (copy_file_range(2)). again says that asking once more makes sense.
func copyRange(dst, src *os.File, off, n int64) (copied int64, again bool, err error) {
	err = descriptors(dst, src, func(d, s int) error {
		from, to := off, off
		done, err := unix.CopyFileRange(s, &from, d, &to, int(n), 0)
		copied = int64(max(done, 0))
		return err
	})
	switch {
	case err == nil:
		return copied, copied > 0, nil
	case errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN):
		return 0, true, nil
	case refused(err):
		return 0, false, nil
	}
	return 0, false, os.NewSyscallError("copy_file_range "+src.Name(), err)
}

// dataAfter returns the first run of data at or after off, cut to size, and an
// empty one at size when there is none (lseek(2), SEEK_DATA). known is false when
// the file system does not tell, or tells that the file ends before size.
func dataAfter(src *os.File, off, size int64) (start, end int64, known bool) {
	err := descriptors(src, src, func(fd, _ int) error {
		var err error
		if start, err = unix.Seek(fd, off, unix.SEEK_DATA); err != nil {
			return err
		}
		end, err = unix.Seek(fd, start, unix.SEEK_HOLE)
		return err
	})
	if errors.Is(err, unix.ENXIO) {
		// Nothing but a hole up to the end of the file, wherever that is by now.
		info, err := src.Stat()
		return size, size, err == nil && info.Size() >= size
	}
	if err != nil || start < off || end <= start {
		return 0, 0, false
	}
	if start >= size {
		return size, size, true
	}
	return start, min(end, size), true
}

// descriptors calls f with the descriptors of both files while neither can be
// closed.
func descriptors(a, b *os.File, f func(a, b int) error) error {
	connA, err := a.SyscallConn()
	if err != nil {
		return err
	}
	connB, err := b.SyscallConn()
	if err != nil {
		return err
	}
	var inner, result error
	err = connA.Control(func(fdA uintptr) {
		inner = connB.Control(func(fdB uintptr) { result = f(int(fdA), int(fdB)) })
	})
	return errors.Join(err, inner, result)
}
