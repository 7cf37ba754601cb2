package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	"github.com/gofrs/flock"
)

// openLock prepares a lock file of the layout. The file stays: removing it would
// let two processes lock two files.
func (l *Layout) openLock(name string) (*flock.Flock, error) {
	// flock opens by path, outside of os.Root: it must not create a file at the
	// end of a stranger's link.
	if _, err := l.statRegular(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return flock.New(filepath.Join(l.path, name), flock.SetPermissions(0o644)), nil
}

func (l *Layout) lockError(ctx context.Context, name string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("lock %s: %w", filepath.Join(l.path, name), err)
}

// lease keeps [Layout.Collect] of every process away from this layout, until
// Close or the end of the process. Who writes an artifact writes, or finds there,
// its blobs first, and only the manifest at the end makes index.json refer to
// them: up to then nothing else says that they are needed. Several writers hold
// it at once. While somebody collects, it waits.
func (l *Layout) lease(ctx context.Context) error {
	select {
	case l.leasing <- struct{}{}:
		defer func() { <-l.leasing }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if l.leased != nil {
		return nil
	}
	file, err := l.openLock(leaseName)
	if err != nil {
		return err
	}
	if _, err := file.TryRLockContext(ctx, lockRetry); err != nil {
		return l.lockError(ctx, leaseName, err)
	}
	l.leased = file
	return nil
}

func (l *Layout) endLease() error {
	l.leasing <- struct{}{}
	defer func() { <-l.leasing }()
	if l.leased == nil {
		return nil
	}
	err := l.leased.Close()
	l.leased = nil
	return err
}

// leaseAlone takes the lease so that nobody writes. Without wait it fails with
// [ErrBusy] when somebody does.
func (l *Layout) leaseAlone(ctx context.Context, wait bool) (*flock.Flock, error) {
	file, err := l.openLock(leaseName)
	if err != nil {
		return nil, err
	}
	var held bool
	if wait {
		held, err = file.TryLockContext(ctx, lockRetry)
	} else {
		held, err = file.TryLock()
	}
	switch {
	case err != nil:
		return nil, l.lockError(ctx, leaseName, err)
	case !held:
		return nil, fmt.Errorf("%s: %w", l.path, ErrBusy)
	}
	return file, nil
}

// isReadOnly reports whether an error says that this process may not write here.
func isReadOnly(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)
}

// lockState is what trying to lock a file found.
type lockState int

const (
	lockUnknown   lockState = iota // there are no locks here
	lockedByUs                     // nobody else has it
	lockedByOther                  // a living process does
)
