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

// acquire waits until no other process has the file.
func (f *File) acquire(ctx context.Context) error {
	for {
		held, err := f.tryAcquire(ctx)
		if held || err != nil {
			return err
		}
	}
}

// tryAcquire returns false when the lock file was removed by its last holder, and
// another process may hold its successor.
func (f *File) tryAcquire(ctx context.Context) (bool, error) {
	name := f.name + lockSuffix
	// flock opens by path, outside of os.Root.
	full := filepath.Join(f.root.Name(), filepath.FromSlash(name))
	if info, err := f.root.Lstat(name); err == nil && !info.Mode().IsRegular() {
		return false, fmt.Errorf("%s is no regular file; remove it", full)
	}
	f.lock = flock.New(full, flock.SetPermissions(0o600))
	if _, err := f.lock.TryLockContext(ctx, lockRetry); err != nil {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		return false, fmt.Errorf("lock %s: %w", full, err)
	}
	held, err := f.lock.Stat()
	if err == nil {
		var named fs.FileInfo
		if named, err = f.root.Lstat(name); err == nil && os.SameFile(held, named) {
			return true, nil
		}
	}
	_ = f.lock.Unlock()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return false, nil
}

// release gives the file up to others.
func (f *File) release() {
	if f.lock == nil {
		return
	}
	_ = f.root.Remove(f.name + lockSuffix)
	_ = f.lock.Unlock()
	if runtime.GOOS == "windows" {
		_ = f.root.Remove(f.name + lockSuffix) // now that it is closed
	}
	f.lock = nil
}

// syncDir puts the names in root on disk. Windows gives no way to, and NTFS
// journals its names.
func syncDir(root *os.Root, name string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	dir, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
