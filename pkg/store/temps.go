package store

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/opencontainers/go-digest"
)

// temp is a file that has no name of the layout yet. Its writer holds a lock on
// it, which ends with the process: what no living process writes shows at once.
type temp struct {
	l    *Layout
	file *os.File
	name string // empty once it has its final name
}

// tempTries is how often a temporary file is made anew when somebody who tidies
// up was faster than its lock.
const tempTries = 10

func (l *Layout) createTemp() (*temp, error) {
	if err := l.root.Mkdir(tempName, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	for range tempTries {
		var random [16]byte
		_, _ = rand.Read(random[:]) // never fails, by its documentation
		t := &temp{l: l, name: path.Join(tempName, hex.EncodeToString(random[:]))}
		f, err := l.root.OpenFile(t.name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return nil, err
		}
		t.file = f
		// A file system without locks leaves removeDeadTemps nothing but the age of
		// the file to go by.
		if state, _ := tryLockFile(f); state != lockedByOther && l.isNamed(f, t.name) {
			return t, nil
		}
		t.discard()
	}
	return nil, fmt.Errorf("%s: temporary files vanish as soon as they are made: %w", path.Join(l.path, tempName), ErrBusy)
}

// isNamed reports whether name is that of the open file.
func (l *Layout) isNamed(f *os.File, name string) bool {
	named, err := l.root.Lstat(name)
	if err != nil {
		return false
	}
	opened, err := f.Stat()
	return err == nil && os.SameFile(named, opened)
}

// discard removes the file unless it was committed.
func (t *temp) discard() {
	if t.name != "" {
		_ = t.file.Close()
		_ = t.l.root.Remove(t.name)
	}
}

// commit syncs the file and gives it its final name.
func (t *temp) commit(name string) error {
	if err := t.file.Sync(); err != nil {
		return err
	}
	// Up to the rename the file stays open where it can, and so locked.
	if closeBeforeRename {
		if err := t.file.Close(); err != nil {
			return err
		}
	}
	if err := t.l.root.Rename(t.name, name); err != nil {
		return err
	}
	t.name = ""
	if closeBeforeRename {
		return nil
	}
	return t.file.Close()
}

func (t *temp) commitBlob(d digest.Digest) error {
	name, err := blobPath(d)
	if err != nil {
		return err
	}
	if err := t.l.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	return t.commit(name)
}

// unlockableAfter is when a temporary file counts as left behind where the file
// system, or the operating system, has no locks to tell: a living process writes
// all the time.
const unlockableAfter = 24 * time.Hour

// removeDeadTemps frees what killed processes left, and returns how many files
// and bytes that are. Failing to is no error: the layout works with it, and may be
// read-only. With dryRun it only counts.
func (l *Layout) removeDeadTemps(dryRun bool) (files int, bytes int64) {
	return l.eachOwn(tempName, func(name string) (int64, bool) { return l.removeDeadTemp(name, dryRun) })
}

// eachOwn calls remove with the names in a directory of modseal's own, and adds up
// what it says that it removed.
func (l *Layout) eachOwn(dirName string, remove func(name string) (int64, bool)) (files int, bytes int64) {
	// A link in the place of the directory is not ours.
	if info, err := l.root.Lstat(dirName); err != nil || !info.IsDir() {
		return 0, 0
	}
	dir, err := l.root.Open(dirName)
	if err != nil {
		return 0, 0
	}
	defer dir.Close()
	for {
		entries, err := dir.ReadDir(listPage)
		for _, e := range entries {
			if n, ok := remove(path.Join(dirName, e.Name())); ok {
				files, bytes = files+1, bytes+n
			}
		}
		if err != nil || len(entries) == 0 {
			return files, bytes
		}
	}
}

// listPage is how many names of a directory are held at once.
const listPage = 1024

func (l *Layout) removeDeadTemp(name string, dryRun bool) (bytes int64, dead bool) {
	f, info, err := l.openRegular(name)
	if err != nil {
		return 0, false
	}
	defer f.Close() // and so unlock, once the name is gone
	switch state, _ := tryLockFile(f); {
	case state == lockedByOther:
		return 0, false
	case state == lockUnknown && time.Since(info.ModTime()) <= unlockableAfter:
		return 0, false
	case !l.isNamed(f, name):
		return 0, false
	}
	if dryRun {
		return info.Size(), true
	}
	if closeBeforeRename {
		_ = f.Close()
	}
	return info.Size(), l.root.Remove(name) == nil
}
