package partial

import (
	"fmt"
	"io"
	"sync"

	"github.com/modseal/modseal/pkg/internal/holes"
)

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
		return fmt.Errorf("%s: bytes %d-%d of %d were to be written", f.label(), off, off+int64(n)-1, f.desc.Size)
	}
	all := Span{off, off + int64(n)}
	f.mu.Lock()
	for f.nearlyNext(off) {
		f.changed.Wait()
	}
	fresh := f.begun.lacks(all)
	f.begun = f.begun.add(all)
	f.mu.Unlock()
	for _, s := range fresh {
		if err := holes.WriteAt(f.area.data, buf[s.Start-off:s.End-off], f.at+s.Start, f.clean); err != nil {
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
		f.area.keeper.add(f.area)
	}
	return err
}

// catchUp is how far the hash may be behind somebody who waits for it.
const catchUp = 256 << 20

// nearlyNext reports whether bytes at off are what comes next for the hash when it has
// read what others brought before them. Who has them waits so long: otherwise the hash
// would stay behind, and read all that follows from the file too. f.mu is held.
func (f *File) nearlyNext(off int64) bool {
	return !f.stopped && f.claimed < off && off-f.claimed <= catchUp && f.written.end(f.claimed) == off
}

// enqueue gives the bytes at off to the hash, when they are what is next and all
// of them are what is on disk. Otherwise the hash reads them there. f.mu is held.
func (f *File) enqueue(buf *buffer, n int, off int64, all bool) error {
	if all && off == f.claimed && f.hashHere(buf[:n]) {
		buffers.Put(buf)
		return f.failed
	}
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
		f.area.keeper.add(f.area)
	}
}

// noteHeld is note with f.mu held. It reports whether the journal is due.
func (f *File) noteHeld(s Span) bool {
	f.begun = f.begun.add(s)
	f.written = f.written.add(s)
	f.changed.Broadcast()
	return f.area.note(s.shift(f.at))
}
