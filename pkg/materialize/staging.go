package materialize

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/fileid"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/lazyregexp"
	"github.com/modseal/modseal/pkg/partial"
)

// StagingName is the directory, below the destination and so on its file
// system, where files are until all of them are good. It is gone after success;
// after a failure it holds the layers that were verified.
const StagingName = ".modseal-partial"

const (
	stagingLock  = "lock"
	stagingProbe = "owner" // a file that shows whose files are made here
)

// keptLayer is the name of a layer that is complete and was compared with its
// digest, which it is again before it is used by another call; or with a suffix,
// of one that is not complete, and of its journal.
var keptLayer = lazyregexp.New(`^(sha256|sha512)-([0-9a-f]{64}|[0-9a-f]{128})(\.part|\.part\.journal|)$`)

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

// openStaging makes the directory and waits for the call that has it. With fresh,
// nothing of an earlier call stays.
func openStaging(ctx context.Context, root *os.Root, dir string, fresh bool) (*staging, error) {
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
	if err := s.checkOwner(); err != nil {
		_ = s.lock.Unlock()
		return nil, err
	}
	s.clean(fresh)
	return s, nil
}

// checkOwner refuses a directory of another user, who could put other files in the
// place of those that were compared with their digests.
func (s *staging) checkOwner() error {
	info, err := s.root.Lstat(StagingName)
	if err != nil {
		return err
	}
	probe := path.Join(StagingName, stagingProbe)
	_ = s.root.RemoveAll(probe) // of a killed call
	f, err := s.root.OpenFile(probe, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	mine, err := f.Stat()
	if err := errors.Join(err, f.Close(), s.root.Remove(probe)); err != nil {
		return err
	}
	if !fileid.SameOwner(info, mine) {
		return fmt.Errorf("%w: %s belongs to another user; remove it", ErrUnsafeDestination, filepath.Join(s.dir, StagingName))
	}
	return nil
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

// leftover is what a failed call leaves for the next.
type leftover struct {
	layers int // whole ones
	parts  int // of others
	bytes  int64
}

// clean removes what an earlier call left, except layers and parts of layers that
// the next can go on with, or with all, those too. It returns what is left.
func (s *staging) clean(all bool) (left leftover) {
	entries, err := fs.ReadDir(s.root.FS(), StagingName)
	if err != nil {
		return left
	}
	kept := map[string]bool{}
	for _, e := range entries {
		info, err := e.Info()
		name := keptLayer.FindStringSubmatch(e.Name())
		if all || err != nil || name == nil || !info.Mode().IsRegular() {
			continue
		}
		desc := ocispec.Descriptor{Digest: digest.NewDigestFromEncoded(digest.Algorithm(name[1]), name[2]), Size: info.Size()}
		switch n := partial.Kept(s.root, path.Join(StagingName, e.Name()), desc); {
		case name[3] == "":
			left.layers++
			left.bytes += desc.Size
			kept[e.Name()] = true
		case name[3] == partSuffix && n > 0:
			left.parts++
			left.bytes += n
			kept[e.Name()], kept[e.Name()+".journal"] = true, true
		}
	}
	for _, e := range entries {
		if e.Name() != stagingLock && !kept[e.Name()] {
			_ = s.root.RemoveAll(path.Join(StagingName, e.Name()))
		}
	}
	return left
}

// kept returns how many bytes of a layer seem to be there from an earlier call.
func (s *staging) kept(desc ocispec.Descriptor) int64 {
	if s.has(desc) {
		return desc.Size
	}
	return partial.Kept(s.root, path.Join(StagingName, stagedName(desc.Digest)+partSuffix), desc)
}

// close gives the directory up, and removes it unless the call failed with err
// and there is something to keep; err then says so.
func (s *staging) close(err error) error {
	keep := false
	if err != nil {
		left := s.clean(false)
		if keep = left.layers+left.parts > 0; keep {
			err = &IncompleteError{Dir: s.dir, Kept: left.layers, Parts: left.parts, Bytes: left.bytes, Err: err}
		}
	}
	if !keep {
		_ = s.root.RemoveAll(StagingName)
	}
	_ = s.lock.Unlock()
	if !keep && runtime.GOOS == "windows" {
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

// note takes care that a whole file gets to the disk.
func (s *staging) note(w partial.Whole) {
	if !w.Synced() {
		s.syncLater(w.Name())
	}
}

func (s *staging) syncLater(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsynced = append(s.unsynced, name)
}

// pastBy is how long before the present the modification time of a file is set
// when nothing more is to be written to it: whoever writes to it in the same step
// of the clock of the file system still changes it.
const pastBy = 2 * time.Second

// ofMember closes the complete file of a member, whose bytes were hashed as they
// were written, gives it its mode, and takes care that it gets to the disk.
func (s *staging) ofMember(f *os.File, name string, size int64, mode fs.FileMode) (*staged, error) {
	m, err := s.complete(f, name, size, mode)
	return m, errors.Join(err, f.Close())
}

func (s *staging) complete(f *os.File, name string, size int64, mode fs.FileMode) (*staged, error) {
	if size >= partial.SyncAtOnce {
		if err := f.Sync(); err != nil {
			return nil, err
		}
	} else {
		s.syncLater(name)
	}
	if err := f.Chmod(mode); err != nil {
		return nil, err
	}
	if err := s.root.Chtimes(name, time.Time{}, time.Now().Add(-pastBy)); err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	m := &staged{name: name}
	m.at, m.trusted = fileid.Of(info)
	return m, nil
}

// takeOver reports whether the layer is there from an earlier call, by its
// bytes.
func (s *staging) takeOver(ctx context.Context, desc ocispec.Descriptor, mode fs.FileMode) (w partial.Whole, there bool, err error) {
	name := path.Join(StagingName, stagedName(desc.Digest))
	if s.has(desc) {
		if w, err = partial.Check(ctx, s.root, name, desc, mode); err == nil {
			return w, true, nil
		}
		var bad *integrity.Error
		if !errors.As(err, &bad) && !errors.Is(err, fs.ErrInvalid) {
			return w, false, err
		}
	}
	_ = s.root.RemoveAll(name)
	return w, false, nil
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

// clock returns a time of the file system, by touching a file of it.
func (s *staging) clock() int64 {
	name := path.Join(StagingName, stagingLock)
	if s.root.Chtimes(name, time.Time{}, time.Now()) != nil {
		return 0
	}
	info, err := s.root.Lstat(name)
	if err != nil {
		return 0
	}
	at, _ := fileid.Of(info)
	return at.CtimeNs
}

// nextTick waits until the file system gives changes a later time than those that
// were made before the call, and returns that time; 0 when it does not come.
func (s *staging) nextTick() int64 {
	before := s.clock()
	for deadline := time.Now().Add(4 * fileid.ClockTick); before != 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond / 2) {
		if now := s.clock(); now > before {
			return now
		}
	}
	return 0
}
