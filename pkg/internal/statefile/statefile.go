// Package statefile keeps small files of state: replaced as a whole, for their
// owner only, with one writer at a time among all processes. A crash leaves the
// old content or the new one, and a lock of nobody.
//
// The lock is on the file itself, so that a file that is removed leaves nothing
// behind. Whoever gets a lock therefore looks whether the file that it locked
// still has its name.
package statefile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gofrs/flock"
)

// Errors that a caller may want to tell apart.
var (
	// ErrBusy means that somebody else holds the lock.
	ErrBusy = errors.New("it is being written by another process")
	// ErrForeign is wrapped when a file is not what this package wrote for this
	// user: such a file is not believed.
	ErrForeign = errors.New("it is not this user's own file")
)

// Read returns the content of a file that this user wrote, without a lock: it
// is what some writer meant as a whole.
func Read(name string, limit int64) ([]byte, error) {
	if err := check(name); err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// Once more, of what was opened: the name may have got another file.
	if info, err := f.Stat(); err != nil || !isOwn(info) {
		return nil, errors.Join(err, foreign(name))
	}
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("%s: %w: it is larger than %d bytes", name, ErrForeign, limit)
	}
	return raw, err
}

func check(name string) error {
	info, err := os.Lstat(name)
	if err == nil && !isOwn(info) {
		err = foreign(name)
	}
	return err
}

func foreign(name string) error { return fmt.Errorf("%s: %w", name, ErrForeign) }

// isOwn holds for a regular file of this user that nobody else may write.
func isOwn(info fs.FileInfo) bool {
	return info.Mode().IsRegular() && isOwner(info)
}

// File is a file of state whose lock is held. It is not safe for concurrent use.
type File struct {
	name string
	lock *flock.Flock
}

// tries bounds how often a lock is taken that then turns out to be that of a
// file which was replaced or removed in between.
const tries = 100

// Lock locks the file, which need not be there, and returns ErrBusy when
// somebody else has it. Its directory is made. Where files cannot be replaced
// while they are open (Windows) it returns errors.ErrUnsupported.
func Lock(name string) (*File, error) {
	if runtime.GOOS == "windows" {
		return nil, fmt.Errorf("%s: %w", name, errors.ErrUnsupported)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, err
	}
	for range tries {
		if err := check(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		lock, err := lockOnce(name)
		if err != nil {
			return nil, err
		}
		locked, err := lock.Stat()
		if err == nil {
			var now fs.FileInfo
			if now, err = os.Lstat(name); err == nil && os.SameFile(locked, now) {
				return &File{name: name, lock: lock}, nil
			}
		}
		_ = lock.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s: %w", name, ErrBusy)
}

func lockOnce(name string) (*flock.Flock, error) {
	lock := flock.New(name, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o600))
	got, err := lock.TryLock()
	if err == nil && !got {
		err = fmt.Errorf("%s: %w", name, ErrBusy)
	}
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	return lock, nil
}

// LockWithin is Lock that waits for others up to a time.
func LockWithin(ctx context.Context, name string, d time.Duration) (*File, error) {
	deadline := time.Now().Add(d)
	for {
		f, err := Lock(name)
		if !errors.Is(err, ErrBusy) || time.Now().After(deadline) {
			return f, err
		}
		timer := time.NewTimer(5 * time.Millisecond)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		case <-timer.C:
		}
	}
}

// Read returns the content, at most limit bytes; none when the file is new.
func (f *File) Read(limit int64) ([]byte, error) { return Read(f.name, limit) }

// Replace gives the file another content, on disk when it returns. The lock is
// kept.
func (f *File) Replace(raw []byte) error { return f.replace(raw, true) }

// ReplaceLoosely is Replace of what a crash of the machine may take, but not one
// of the process.
func (f *File) ReplaceLoosely(raw []byte) error { return f.replace(raw, false) }

func (f *File) replace(raw []byte, sync bool) (err error) {
	// One name is enough, since there is one writer, and what a killed one left
	// is used again.
	aside := f.name + newSuffix
	if err := os.Remove(aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// Locked before it gets the name: at no time can another process have it.
	lock, err := lockOnce(aside)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(aside)
			_ = lock.Close()
		}
	}()
	if err := write(aside, raw, sync); err != nil {
		return err
	}
	if err := os.Rename(aside, f.name); err != nil {
		return err
	}
	_ = f.lock.Close()
	f.lock = lock
	return nil
}

const newSuffix = ".new"

func write(name string, raw []byte, sync bool) error {
	w, err := os.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = w.Write(raw)
	if err == nil && sync {
		err = w.Sync()
	}
	return errors.Join(err, w.Close())
}

// Remove removes the file and gives the lock back.
func (f *File) Remove() error {
	err := os.Remove(f.name)
	_ = os.Remove(f.name + newSuffix)
	return errors.Join(err, f.lock.Close())
}

// Close gives the lock back. A file that nothing was written to is removed.
func (f *File) Close() error {
	if info, err := f.lock.Stat(); err == nil && info.Size() == 0 {
		return f.Remove()
	}
	return f.lock.Close()
}
