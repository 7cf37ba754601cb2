package partial

import (
	"context"
	_ "crypto/sha256" // the digest algorithms that a blob may have
	_ "crypto/sha512"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
)

// Sink takes the bytes of a blob in any order. A *[File] is one; who brings bytes
// needs to know no more of it.
type Sink interface {
	// Missing returns what did not come yet, in order.
	Missing() []Span
	// WriteFrom writes what r gives, to its end, from the offset off on, and
	// returns how many bytes it wrote. An error that r did not give is the disk's.
	WriteFrom(r io.Reader, off int64) (int64, error)
}

// Options of [Open].
type Options struct {
	// What names the blob in errors, for people.
	What string
	// Mode is that of the whole file; 0 means 0644.
	Mode fs.FileMode
	// Fresh starts over, whatever an earlier process left.
	Fresh bool
	// Locked says that the caller holds a lock that keeps every other process
	// away from this file. Otherwise Open waits for a lock of its own.
	Locked bool
	// SyncLater leaves it to the caller to put a small file on disk: see
	// [Whole.Synced].
	SyncLater bool
}

// File is a blob that is not whole yet: in a file of its own, or in a window of an
// [Area]. It is safe for concurrent use, except that nothing may be called at the
// same time as Finish, Prove, Reset, Suspend and Discard, or after one of those
// but Reset.
type File struct {
	area *Area
	at   int64 // where it begins there
	desc ocispec.Descriptor
	o    Options

	own   bool  // the area is there for this blob alone
	lock  *Lock // of an own area; nil when the caller has one
	clean bool  // what nobody wrote is a hole
	taken int64

	mu      sync.Mutex
	changed sync.Cond // of what is below
	begun   spans     // that somebody writes, or has written
	written spans
	queue   []chunk   // what the hash takes from memory next
	claimed int64     // up to here the hash has, or is given, the bytes
	hashed  int64     // up to here it is done
	hashing bool      // somebody hashes what is between
	sum     hash.Hash // only of who hashes
	stopped bool
	failed  error // of the disk
	lost    bool  // the disk did not take what was written
	bad     bool  // the digest was wrong
	whole   bool  // it was right
	gone    bool  // what was written is given up, for now or for good

	running sync.WaitGroup
}

// Open takes up what an earlier process left of desc under name in root, or
// begins. The bytes are in name, which has the full size from the start, and
// beside it is a journal with ".journal" added to its name; nothing else may
// write to files of these names.
func Open(ctx context.Context, root *os.Root, name string, desc ocispec.Descriptor, o Options) (*File, error) {
	if err := artifacttypes.ValidateDescriptor(desc); err != nil {
		return nil, err
	}
	if o.Mode == 0 {
		o.Mode = fs.FileMode(artifacttypes.ModeRegular)
	}
	f := newFile(nil, 0, desc, o)
	f.area, f.own = newArea(root, name, []Part{{name, desc.Size}}, desc.Digest, f.label()), true
	if !o.Locked {
		lock, err := Acquire(ctx, root, name)
		if err != nil {
			return nil, err
		}
		f.lock = lock
	}
	if o.Fresh || !f.takeUp() {
		if err := f.startOver(); err != nil {
			f.lock.Release()
			return nil, err
		}
	}
	f.run()
	return f, nil
}

func newFile(a *Area, at int64, desc ocispec.Descriptor, o Options) *File {
	f := &File{area: a, at: at, desc: desc, o: o}
	f.changed.L = &f.mu
	return f
}

// window is where the blob is in its area.
func (f *File) window() Span { return Span{f.at, f.at + f.desc.Size} }

// startOver begins with a new, empty area.
func (f *File) startOver() error {
	if err := f.area.startOver(); err != nil {
		return err
	}
	f.begin(nil)
	return nil
}

// takeUp goes on with what an earlier process left, and reports whether there is
// something.
func (f *File) takeUp() bool {
	j := f.area.takeUp()
	if j == nil {
		return false
	}
	f.begin(j.believed)
	f.goOn(j)
	return true
}

// begin sets what there is of the blob, of which nothing is hashed yet.
func (f *File) begin(there spans) {
	f.clean, f.taken = f.area.clean, there.total()
	f.begun, f.written, f.queue, f.claimed, f.hashed = slices.Clone(there), there, nil, 0, 0
	f.sum = f.desc.Digest.Algorithm().Hash()
}

func (f *File) run() {
	f.stopped, f.failed, f.lost, f.bad = false, nil, false, false
	unhashed.Add(1)
	f.running.Go(func() {
		defer unhashed.Add(-1)
		f.follow()
	})
	if f.own {
		f.area.windows[f] = true
	}
	if f.own && f.desc.Size >= keepFrom {
		f.area.keeper.begin(f.area)
	}
}

// halt ends the goroutines. What is queued is not hashed.
func (f *File) halt() {
	f.mu.Lock()
	f.stopped = true
	f.changed.Broadcast()
	f.mu.Unlock()
	if f.own {
		f.area.keeper.end()
	}
	f.running.Wait()
	for _, c := range f.queue {
		buffers.Put(c.buf)
	}
	f.queue = nil
}

// Size returns the size of the whole blob.
func (f *File) Size() int64 { return f.desc.Size }

// Taken returns how many bytes were taken up from an earlier process.
func (f *File) Taken() int64 { return f.taken }

// Missing implements [Sink].
func (f *File) Missing() []Span {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.written.missing(f.desc.Size)
}

// lose says that what was written did not get to the disk: see [Area.lose].
func (f *File) lose(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed, f.lost, f.stopped = err, true, true
	f.changed.Broadcast()
}

// giveUp tells those who follow that nothing more comes.
func (f *File) giveUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gone = true
	f.changed.Broadcast()
}

// Reset forgets every byte, since together they were not the blob. Those who
// follow get [ErrGivenUp], also when it becomes whole later.
func (f *File) Reset() error {
	f.giveUp()
	f.halt()
	if f.own {
		if err := f.area.data.Close(); err != nil {
			return err
		}
		if err := f.startOver(); err != nil {
			return err
		}
	} else {
		f.area.forget(f.window())
		f.begin(nil)
		f.clean = false
	}
	f.run()
	return nil
}

// Suspend keeps what is there for a later Open, of any process, and closes the
// file. Of a file whose digest was wrong nothing is kept, nor of one that the disk
// did not take or that has no byte.
func (f *File) Suspend() error {
	f.giveUp()
	f.halt()
	if f.bad || f.own && (f.lost || f.written.total() == 0) {
		return f.discard()
	}
	if !f.own {
		f.area.closed(f, false)
		return nil
	}
	defer f.lock.Release()
	return errors.Join(f.area.keeper.last(f.area, f), f.area.data.Close())
}

// Discard removes the file and its journal, or what the window has.
func (f *File) Discard() error {
	f.giveUp()
	f.halt()
	return f.discard()
}

func (f *File) discard() error {
	if !f.own {
		f.area.forget(f.window())
		f.area.closed(f, false)
		return nil
	}
	defer f.lock.Release()
	return f.area.discard()
}

// pastBy is how long before the present the modification time of a file is set
// when nothing more is to be written to it: whoever writes to it in the same step
// of the clock of the file system still changes it.
const pastBy = 2 * time.Second

// stamp makes any later write to the file show in its identity, at once.
func (a *Area) stamp() error {
	return a.root.Chtimes(a.name, time.Time{}, time.Now().Add(-pastBy))
}
