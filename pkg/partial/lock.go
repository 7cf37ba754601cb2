package partial

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gofrs/flock"
)

const (
	lockSuffix = ".lock"
	// lockRetry is how often a busy file is tried again.
	lockRetry = 20 * time.Millisecond
)

// ErrLocked is what [TryAcquire] fails with when somebody else has the lock.
var ErrLocked = errors.New("somebody else has the lock")

// Lock keeps all other processes away from what has a name.
type Lock struct {
	root *os.Root
	name string
	file *flock.Flock
}

// Acquire waits until nobody else has the lock of name in root. The file of the
// lock, name with ".lock" added, is there only while somebody has it.
func Acquire(ctx context.Context, root *os.Root, name string) (*Lock, error) {
	return acquire(root, name, func(l *flock.Flock) error {
		_, err := l.TryLockContext(ctx, lockRetry)
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	})
}

// TryAcquire is Acquire, but does not wait: it fails with [ErrLocked].
func TryAcquire(root *os.Root, name string) (*Lock, error) {
	return acquire(root, name, func(l *flock.Flock) error {
		held, err := l.TryLock()
		if err == nil && !held {
			err = ErrLocked
		}
		return err
	})
}

func acquire(root *os.Root, name string, lock func(*flock.Flock) error) (*Lock, error) {
	l := &Lock{root: root, name: name + lockSuffix}
	for {
		held, err := l.tryAcquire(lock)
		if err != nil {
			return nil, err
		}
		if held {
			return l, nil
		}
	}
}

// tryAcquire returns false when the lock file was removed by its last holder, and
// another process may hold its successor.
func (l *Lock) tryAcquire(lock func(*flock.Flock) error) (bool, error) {
	// flock opens by path, outside of os.Root.
	full := filepath.Join(l.root.Name(), filepath.FromSlash(l.name))
	if info, err := l.root.Lstat(l.name); err == nil && !info.Mode().IsRegular() {
		return false, fmt.Errorf("%s is no regular file; remove it", full)
	}
	l.file = flock.New(full, flock.SetPermissions(0o600))
	if err := lock(l.file); err != nil {
		return false, fmt.Errorf("lock %s: %w", full, err)
	}
	held, err := l.file.Stat()
	if err == nil {
		var named fs.FileInfo
		if named, err = l.root.Lstat(l.name); err == nil && os.SameFile(held, named) {
			// Whoever removes what is old must not take one that a killed process left
			// and that is held again.
			_ = l.root.Chtimes(l.name, time.Time{}, time.Now())
			return true, nil
		}
	}
	_ = l.file.Unlock()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return false, nil
}

// Release gives the lock up to others. Releasing no lock does nothing.
func (l *Lock) Release() {
	if l == nil || l.file == nil {
		return
	}
	_ = l.root.Remove(l.name)
	_ = l.file.Unlock()
	if runtime.GOOS == "windows" {
		_ = l.root.Remove(l.name) // now that it is closed
	}
	l.file = nil
}

// SyncDir puts the names in the directory name of root on disk. Windows gives no way to, and NTFS
// journals its names.
func SyncDir(root *os.Root, name string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	dir, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
