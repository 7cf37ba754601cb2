package materialize

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/fileid"
)

// StagingName is the directory, below the destination and so on its file
// system, where files are until all of them are good. It is gone after success;
// after a failure it holds the layers that were verified.
const StagingName = ".modseal-partial"

const stagingLock = "lock"

// wholeLayer is the name of a layer that is complete and was compared with its
// digest, which it is again before it is used by another call.
var wholeLayer = regexp.MustCompile(`^sha(256-[0-9a-f]{64}|512-[0-9a-f]{128})$`)

func stagedName(d digest.Digest) string { return d.Algorithm().String() + "-" + d.Encoded() }

// staging is the staging directory, held by one call at a time.
type staging struct {
	root *os.Root // the destination
	dir  string   // its path
	lock *flock.Flock

	mu       sync.Mutex
	count    int
	unsynced []string // files that are not on disk for sure
}

// openStaging makes the directory and waits for the call that has it.
func openStaging(ctx context.Context, root *os.Root, dir string) (*staging, error) {
	s := &staging{root: root, dir: dir}
	for {
		err := s.acquire(ctx)
		if err == nil {
			break
		}
		if !errors.Is(err, errStagingGone) {
			return nil, err
		}
	}
	s.clean()
	return s, nil
}

var errStagingGone = errors.New("another call removed its staging directory")

// lockRetry is how often a busy directory is tried again.
const lockRetry = 20 * time.Millisecond

func (s *staging) acquire(ctx context.Context) error {
	if err := s.root.Mkdir(StagingName, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := s.root.Lstat(StagingName)
	switch {
	case missing(err):
		return errStagingGone
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%w: %s is no directory; remove it", ErrUnsafeDestination, filepath.Join(s.dir, StagingName))
	}
	if modesMatter && info.Mode().Perm() != 0o700 {
		// Where a file system has no modes, what is staged is compared all the same.
		_ = s.root.Chmod(StagingName, 0o700)
	}
	// flock opens by path, outside of os.Root.
	name := path.Join(StagingName, stagingLock)
	if info, err := s.root.Lstat(name); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%w: %s is no regular file; remove it", ErrUnsafeDestination, filepath.Join(s.dir, name))
	}
	s.lock = flock.New(filepath.Join(s.dir, name), flock.SetPermissions(0o600))
	if _, err := s.lock.TryLockContext(ctx, lockRetry); err != nil {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case missing(err):
			return errStagingGone
		}
		return fmt.Errorf("lock %s: %w", filepath.Join(s.dir, name), err)
	}
	// The holder before us removed the directory when it was done, and with it
	// the file that is locked now: another call may hold its successor.
	held, err := s.lock.Stat()
	if err == nil {
		var named fs.FileInfo
		if named, err = s.root.Lstat(name); err == nil && os.SameFile(held, named) {
			return nil
		}
	}
	_ = s.lock.Unlock()
	if err != nil && !missing(err) {
		return err
	}
	return errStagingGone
}

// clean removes what an earlier call left except whole layers, and returns how
// many of those there are.
func (s *staging) clean() (layers int, bytes int64) {
	entries, err := fs.ReadDir(s.root.FS(), StagingName)
	if err != nil {
		return 0, 0
	}
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case e.Name() == stagingLock:
		case err == nil && info.Mode().IsRegular() && wholeLayer.MatchString(e.Name()):
			layers++
			bytes += info.Size()
		default:
			_ = s.root.RemoveAll(path.Join(StagingName, e.Name()))
		}
	}
	return layers, bytes
}

// close gives the directory up, and removes it unless the call failed with err
// and there are layers to keep; err then says so.
func (s *staging) close(err error) error {
	keep := 0
	if err != nil {
		var bytes int64
		if keep, bytes = s.clean(); keep > 0 {
			err = &IncompleteError{Dir: s.dir, Kept: keep, Bytes: bytes, Err: err}
		}
	}
	if keep == 0 {
		_ = s.root.RemoveAll(StagingName)
	}
	_ = s.lock.Unlock()
	if keep == 0 && runtime.GOOS == "windows" {
		_ = s.root.RemoveAll(StagingName) // now that the lock file is closed
	}
	return err
}

// create makes a file in the staging directory that nobody takes for whole.
func (s *staging) create() (*os.File, string, error) {
	s.mu.Lock()
	s.count++
	name := path.Join(StagingName, "part-"+strconv.Itoa(s.count))
	s.mu.Unlock()
	f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	return f, name, err
}

// syncAtOnce is the size from which a file is synced when it is complete, while
// others are still coming; smaller ones are synced together.
const syncAtOnce = 1 << 20

// finish closes the complete file from, whose bytes were hashed as they were
// written, gives it its mode and the name to, and takes care that it gets to the
// disk. It returns how the file looks after all that: whoever writes to it later
// changes that.
func (s *staging) finish(f *os.File, from, to string, size int64, mode fs.FileMode) (fileid.ID, error) {
	at, err := s.complete(f, from, to, size, mode)
	return at, errors.Join(err, f.Close())
}

func (s *staging) complete(f *os.File, from, to string, size int64, mode fs.FileMode) (fileid.ID, error) {
	if size >= syncAtOnce {
		if err := f.Sync(); err != nil {
			return fileid.ID{}, err
		}
	} else {
		s.mu.Lock()
		s.unsynced = append(s.unsynced, to)
		s.mu.Unlock()
	}
	if size >= rehashBelow {
		// From here on another write gets another time than the last of ours.
		time.Sleep(fileid.ClockTick)
	}
	if err := f.Chmod(mode); err != nil {
		return fileid.ID{}, err
	}
	if from != to {
		if err := s.root.Rename(from, to); err != nil {
			return fileid.ID{}, err
		}
	}
	info, err := f.Stat()
	if err != nil {
		return fileid.ID{}, err
	}
	at, _ := fileid.Of(info)
	return at, nil
}

// takeOver reports whether the layer is there from an earlier call, by its
// bytes, and how the file looked when they were read.
func (s *staging) takeOver(ctx context.Context, desc ocispec.Descriptor, mode fs.FileMode) (at fileid.ID, there bool, err error) {
	name := path.Join(StagingName, stagedName(desc.Digest))
	if !s.has(desc) {
		_ = s.root.RemoveAll(name)
		return at, false, nil
	}
	if err := s.root.Chmod(name, mode); err != nil {
		return at, false, err
	}
	f, err := s.root.Open(name)
	if err != nil {
		return at, false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return at, false, err
	}
	at, _ = fileid.Of(info)
	got, err := hashFile(ctx, f, desc.Digest.Algorithm())
	if err != nil {
		return at, false, err
	}
	if got != desc.Digest {
		return at, false, s.root.Remove(name)
	}
	return at, true, f.Sync() // whoever wrote it may not have come so far
}

// has reports whether a layer seems to be there from an earlier call.
func (s *staging) has(desc ocispec.Descriptor) bool {
	info, err := s.root.Lstat(path.Join(StagingName, stagedName(desc.Digest)))
	return err == nil && info.Mode().IsRegular() && info.Size() == desc.Size
}

// sync puts the needed ones of the small files on disk. Above manyFiles one sync of the whole file
// system is cheaper than as many waits for its journal, although it also waits
// for what others write.
func (s *staging) sync(root *os.Root, needed map[string]bool) error {
	names := slices.DeleteFunc(s.unsynced, func(name string) bool { return !needed[name] })
	if len(names) > manyFiles {
		if done, err := syncFileSystem(root); done {
			return err
		}
	}
	for _, name := range names {
		f, err := root.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// manyFiles is from where on syncing files or directories one by one takes
// longer than syncing the file system.
const manyFiles = 64
