package partial

import (
	"context"
	_ "crypto/sha256" // the digest algorithms that a blob may have
	_ "crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/holes"
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

// File is a blob that is not whole yet. It is safe for concurrent use, except
// that nothing may be called at the same time as Finish, Reset, Suspend and
// Discard, or after one of those but Reset.
type File struct {
	root *os.Root
	name string
	desc ocispec.Descriptor
	o    Options
	lock *Lock // nil when the caller has one

	data  *os.File
	clean bool // what nobody wrote is a hole
	taken int64

	mu      sync.Mutex
	changed sync.Cond // of what is below
	begun   spans     // that somebody writes, or has written
	written spans
	queue   []chunk   // what the hash takes from memory next
	claimed int64     // up to here the hash has, or is given, the bytes
	hashed  int64     // up to here it is done
	sum     hash.Hash // only of the goroutine that follows
	stopped bool
	failed  error // of the disk
	lost    bool  // the disk did not take what was written
	bad     bool  // the digest was wrong
	whole   bool  // it was right
	gone    bool  // what was written is given up, for now or for good

	keeper  keeper
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
	f := &File{root: root, name: name, desc: desc, o: o}
	f.changed.L = &f.mu
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

// startOver makes a new, empty data file. Nothing of an old one is written to: it
// might be a link to somebody's file.
func (f *File) startOver() (err error) {
	if err := f.remove(); err != nil {
		return err
	}
	f.data, err = f.root.OpenFile(f.name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	// A file of its full size takes no room before it is written to.
	if err := f.data.Truncate(f.desc.Size); err != nil {
		return errors.Join(err, f.data.Close(), f.root.Remove(f.name))
	}
	f.clean, f.taken = true, 0
	f.begun, f.written, f.queue, f.claimed, f.hashed = nil, nil, nil, 0, 0
	f.sum = f.desc.Digest.Algorithm().Hash()
	f.keeper = keeper{}
	return nil
}

// remove takes the data file and the journal away, whatever they are.
func (f *File) remove() error {
	for _, name := range []string{f.name + journalSuffix, f.name + journalSuffix + newSuffix, f.name} {
		if _, err := f.root.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := f.root.RemoveAll(name); err != nil {
			return err
		}
	}
	return nil
}

func (f *File) run() {
	f.stopped, f.failed, f.lost, f.bad = false, nil, false, false
	f.running.Go(f.follow)
	if f.desc.Size >= keepFrom {
		f.keeper.begin(f)
	}
}

// halt ends the goroutines. What is queued is not hashed.
func (f *File) halt() {
	f.mu.Lock()
	f.stopped = true
	f.changed.Broadcast()
	f.mu.Unlock()
	f.keeper.end()
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

// bufferSize is where SHA-256 and the page cache stop gaining from larger pieces,
// with some of them still inside the second-level cache.
const bufferSize = 256 << 10

type buffer [bufferSize]byte

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// WriteFrom implements [Sink]. Bytes beyond the size of the blob are an error.
func (f *File) WriteFrom(r io.Reader, off int64) (n int64, err error) {
	for {
		buf := buffers.Get().(*buffer)
		m, err := readFull(r, buf[:])
		if m > 0 {
			if writeErr := f.put(buf, m, off+n); writeErr != nil {
				return n, writeErr
			}
			n += int64(m)
		} else {
			buffers.Put(buf)
		}
		if err == io.EOF { //nolint:errorlint // an end is never wrapped
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// readFull reads until p is full or r has an error, which is not changed.
func readFull(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = r.Read(p[n:])
		n += m
	}
	return n, err
}

// WriteAt implements io.WriterAt, for bytes that are in memory already.
func (f *File) WriteAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		buf := buffers.Get().(*buffer)
		m := copy(buf[:], p[n:])
		if err := f.put(buf, m, off+int64(n)); err != nil {
			return n, err
		}
		n += m
	}
	return n, nil
}

// put writes the first n bytes of buf and takes buf over. The hash gets it when
// it is next, while it is in the cache of the processor.
//
// No byte is written twice: what two connections bring of the same part may be
// different when a registry lies, and the hash must be that of what is on disk.
func (f *File) put(buf *buffer, n int, off int64) error {
	if off < 0 || int64(n) > f.desc.Size-off {
		buffers.Put(buf)
		return fmt.Errorf("%s: bytes %d-%d of %d were to be written", f.name, off, off+int64(n)-1, f.desc.Size)
	}
	all := Span{off, off + int64(n)}
	f.mu.Lock()
	fresh := f.begun.lacks(all)
	f.begun = f.begun.add(all)
	f.mu.Unlock()
	for _, s := range fresh {
		if err := holes.WriteAt(f.data, buf[s.Start-off:s.End-off], s.Start, f.clean); err != nil {
			buffers.Put(buf)
			return err
		}
	}
	f.mu.Lock()
	due := false
	for _, s := range fresh {
		due = f.noteHeld(s) || due
	}
	err := f.enqueue(buf, n, off, len(fresh) == 1 && fresh[0] == all)
	f.mu.Unlock()
	if due {
		f.keeper.add(f)
	}
	return err
}

// enqueue gives the bytes at off to the hash, when they are what is next and all
// of them are what is on disk. Otherwise the hash reads them there. f.mu is held.
func (f *File) enqueue(buf *buffer, n int, off int64, all bool) error {
	for all && off == f.claimed && len(f.queue) >= mostQueued && !f.stopped {
		f.changed.Wait() // the hash is what all wait for
	}
	if !all || off != f.claimed || f.stopped {
		buffers.Put(buf)
		return f.failed
	}
	f.queue = append(f.queue, chunk{buf, n})
	f.claimed += int64(n)
	f.changed.Broadcast()
	return f.failed
}

// note records that a span is in the file.
func (f *File) note(s Span) {
	f.mu.Lock()
	due := f.noteHeld(s)
	f.mu.Unlock()
	if due {
		f.keeper.add(f)
	}
}

// noteHeld is note with f.mu held. It reports whether the journal is due.
func (f *File) noteHeld(s Span) bool {
	f.begun = f.begun.add(s)
	f.written = f.written.add(s)
	f.changed.Broadcast()
	return f.keeper.note(s)
}

// lose says that what was written did not get to the disk. It ends the file: a
// kernel says so once, and from then on takes what it has in memory for what is on
// the disk, so that no later sync fails.
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
	if err := f.data.Close(); err != nil {
		return err
	}
	if err := f.startOver(); err != nil {
		return err
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
	if f.bad || f.lost || f.written.total() == 0 {
		return f.discard()
	}
	defer f.lock.Release()
	err := f.keeper.last(f)
	return errors.Join(err, f.data.Close())
}

// Discard removes the file and its journal.
func (f *File) Discard() error {
	f.giveUp()
	f.halt()
	return f.discard()
}

func (f *File) discard() error {
	defer f.lock.Release()
	return errors.Join(f.data.Close(), f.remove())
}

// pastBy is how long before the present the modification time of a file is set
// when nothing more is to be written to it: whoever writes to it in the same step
// of the clock of the file system still changes it.
const pastBy = 2 * time.Second

// stamp makes any later write to the file show in its identity, at once.
func (f *File) stamp() error {
	return f.root.Chtimes(f.name, time.Time{}, time.Now().Add(-pastBy))
}
