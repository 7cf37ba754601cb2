package partial

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/filerow"
	"github.com/modseal/modseal/pkg/internal/holes"
)

// Part is one of the files of an [Area].
type Part struct {
	Name string
	Size int64
}

// Area is one file, or several in a row that are read and written as one, of
// which each blob has a window, with one journal for all. What is between the
// windows its owner writes himself. It is safe for concurrent use, except that
// nothing may be called at the same time as Finish, Suspend and Discard, or after
// one of those.
type Area struct {
	root  *os.Root
	name  string             // of the journal, without its suffix
	about ocispec.Descriptor // what the journal is about
	what  string             // for people
	parts []Part

	data   *filerow.Row
	clean  bool // what nobody wrote is a hole
	taken  int64
	stale  bool // what an earlier process left is of no use
	keeper keeper

	mu      sync.Mutex
	written spans
	given   spans // to windows that are open
	proven  spans
	windows map[*File]bool
	lost    error // why the disk did not take what was written
}

// OpenArea takes up what an earlier process left in the files parts in root, or
// begins. The journal is beside them, name with ".journal" added, and says that it
// is about key: with another one, or other sizes, everything starts over. Each
// part has its full size from the start; nothing else may write to these files.
// The caller holds a lock that keeps every other process away from name. what
// names the area in errors.
func OpenArea(root *os.Root, name string, parts []Part, key digest.Digest, what string) (*Area, error) {
	a := newArea(root, name, parts, key, what)
	if a.takeUp() == nil {
		_, err := root.Lstat(name + journalSuffix)
		a.stale = err == nil
		if err := a.startOver(); err != nil {
			return nil, err
		}
	}
	a.keeper.begin(a)
	return a, nil
}

func newArea(root *os.Root, name string, parts []Part, key digest.Digest, what string) *Area {
	a := &Area{root: root, name: name, parts: parts, what: what, windows: map[*File]bool{}}
	a.about.Digest = key
	for _, p := range parts {
		a.about.Size += p.Size
	}
	return a
}

// Size returns the size of all parts together.
func (a *Area) Size() int64 { return a.about.Size }

// Taken returns how many bytes were taken up from an earlier process.
func (a *Area) Taken() int64 { return a.taken }

// Lacking returns how many bytes of disk the rest takes at most. Some file systems
// set room aside for all of a file as soon as it has its size.
func (a *Area) Lacking() (int64, error) {
	var has int64
	err := a.data.Each(func(f *os.File) error {
		info, err := f.Stat()
		if err == nil {
			has += allocated(info)
		}
		return err
	})
	return max(0, a.Size()-max(has, a.taken)), err
}

// Stale reports whether there was a journal of an earlier process, and it was about
// something else, or nothing that it says could be believed.
func (a *Area) Stale() bool { return a.stale }

// Open gives a window to the blob desc, from the offset at on. What an earlier
// process left of it is hashed again, while the rest comes. Prove ends it in the
// place of Finish. what names the blob in errors.
func (a *Area) Open(desc ocispec.Descriptor, at int64, what string) (*File, error) {
	if err := artifacttypes.ValidateDescriptor(desc); err != nil {
		return nil, err
	}
	f := newFile(a, at, desc, Options{What: what})
	w := f.window()
	if err := a.claim(w); err != nil {
		return nil, err
	}
	a.mu.Lock()
	f.begin(a.written.within(w))
	a.mu.Unlock()
	f.run()
	a.mu.Lock()
	a.windows[f] = true
	lost := a.lost
	a.mu.Unlock()
	if lost != nil {
		f.lose(lost)
	}
	return f, nil
}

// claim makes sure that a part of the area is nobody else's.
func (a *Area) claim(w Span) error {
	if w.Start < 0 || w.End > a.Size() {
		return fmt.Errorf("%s: bytes %d-%d of %d were to be written", a.what, w.Start, w.End-1, a.Size())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if w.Len() > 0 && (len(a.given.within(w)) > 0 || len(a.proven.within(w)) > 0) {
		return fmt.Errorf("%s: bytes %d-%d have another owner", a.what, w.Start, w.End-1)
	}
	a.given = a.given.add(w)
	return nil
}

// release ends a claim; it is proven that the bytes are the right ones, or not.
func (a *Area) release(w Span, proven bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.given = a.given.remove(w)
	if proven {
		a.proven = a.proven.add(w)
	}
}

// WriteAt implements io.WriterAt, for bytes between the windows: those of the
// owner, which need no proof. They are written in every process anew, and the
// journal knows nothing of them.
func (a *Area) WriteAt(p []byte, off int64) (int, error) {
	w := Span{off, off + int64(len(p))}
	if err := a.claim(w); err != nil {
		return 0, err
	}
	err := holes.WriteAt(a.data, p, off, a.clean)
	a.release(w, err == nil)
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// ReadAt implements io.ReaderAt.
func (a *Area) ReadAt(p []byte, off int64) (int, error) { return a.data.ReadAt(p, off) }

// Proven reports whether all bytes of s are proven, or the owner's.
func (a *Area) Proven(s Span) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.proven.has(s)
}

// Written reports whether all bytes of s were taken up or written, by windows.
func (a *Area) Written(s Span) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.written.has(s)
}

// Kept returns how many bytes a later OpenArea would take up.
func (a *Area) Kept() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.written.total()
}

// Finish puts everything on disk, gives the parts their mode and the names to, in
// this order, calls last, which may be nil, and removes the journal: a process that
// dies before leaves the journal behind. It fails with a *MissingError when not all
// of the bytes are proven, and with what the disk said. The area is open then:
// what remains is Suspend or Discard.
func (a *Area) Finish(mode fs.FileMode, to []string, last func() error) error {
	if missing := a.Size() - a.proven.total(); missing > 0 {
		return &MissingError{What: a.what, Missing: missing, Size: a.Size()}
	}
	if err := a.data.Each((*os.File).Sync); err != nil {
		a.lose(err)
		return err
	}
	a.keeper.end()
	if a.lost != nil { // the keeper was told, and so nobody else
		return a.lost
	}
	// File systems of removable media have no modes, and say so.
	if err := a.data.Each(func(f *os.File) error { return f.Chmod(mode) }); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	for i, p := range a.parts {
		if err := a.root.Rename(p.Name, to[i]); err != nil {
			return err
		}
	}
	if err := SyncDir(a.root, path.Dir(a.name)); err != nil {
		return err
	}
	if last != nil {
		if err := last(); err != nil {
			return err
		}
	}
	err := a.data.Close()
	a.removeJournal()
	return err
}

// Suspend keeps what is there for a later OpenArea, of any process, and closes the
// files. All windows must be closed. Nothing is kept of what the disk did not take,
// or when there is nothing.
func (a *Area) Suspend() error {
	a.keeper.end()
	if a.lost != nil || a.written.total() == 0 {
		return a.discard()
	}
	return errors.Join(a.keeper.last(a, nil), a.data.Close())
}

// Discard removes the files and the journal.
func (a *Area) Discard() error {
	a.keeper.end()
	return a.discard()
}

func (a *Area) discard() error { return errors.Join(a.data.Close(), a.remove()) }

// note records that a span is in the files, and reports whether the journal is
// due.
func (a *Area) note(s Span) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.written = a.written.add(s)
	return a.keeper.note(s)
}

// forget has what is in the window w brought again, by later processes too.
func (a *Area) forget(w Span) {
	a.mu.Lock()
	a.written = a.written.remove(w)
	a.keeper.fresh = a.keeper.fresh.remove(w)
	a.mu.Unlock()
	a.keeper.forget(a, w)
}

// lose says that what was written did not get to the disk. It ends all windows: a
// kernel says so once, and from then on takes what it has in memory for what is on
// the disk, so that no later sync fails.
func (a *Area) lose(err error) {
	a.mu.Lock()
	a.lost = err
	windows := make([]*File, 0, len(a.windows))
	for f := range a.windows {
		windows = append(windows, f)
	}
	a.mu.Unlock()
	for _, f := range windows {
		f.lose(err)
	}
}

// close ends a window.
func (a *Area) closed(f *File, proven bool) {
	a.release(f.window(), proven)
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.windows, f)
}
