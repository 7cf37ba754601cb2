// Package replay reads at any place of content that comes as a stream, such as a
// member of a compressed file, without keeping it: what lies behind is had by opening
// the stream again.
//
// It is for readers that go forward and look back a little, as those of archives do.
// The last part that was read is kept; how often a stream is opened again is bounded.
package replay

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

const (
	// Window is how far behind the last byte that was read can be read again without
	// opening the stream anew.
	Window = 1 << 20
	// MaxRewinds bounds how often one stream is opened again.
	MaxRewinds = 32
	// MaxSize bounds the streams that are read in this way, since each rewind goes
	// over all of it.
	MaxSize = 16 << 30
)

// Errors of content that cannot be read in parts. Both wrap [hazard.ErrBroken].
var (
	ErrRewinds = hazard.Broken(fmt.Sprintf("a container inside compressed bytes is read back and forth more than %d times", MaxRewinds))
	ErrSize    = hazard.Broken(fmt.Sprintf("a container inside compressed bytes is larger than %d bytes", int64(MaxSize)))
)

// Refused reports whether err says that content was not read in parts, although it can
// be read.
func Refused(err error) bool { return errors.Is(err, ErrRewinds) || errors.Is(err, ErrSize) }

// At returns a reader of any part of c, and its size, for which a stream is read to
// its end when c does not tell. The reader holds an open stream until c is read no
// more; close it.
func At(c hazard.Content) (r ReaderAtCloser, size int64, err error) {
	if c.At != nil {
		return nopCloser{c.At}, c.Size, nil
	}
	s := &stream{open: c.Open}
	if size = c.Size; size < 0 {
		if size, err = s.measure(); err != nil {
			return nil, 0, err
		}
	}
	if size > MaxSize {
		return nil, 0, errors.Join(ErrSize, s.Close())
	}
	return s, size, nil
}

// ReaderAtCloser is a reader of any part that holds something open.
type ReaderAtCloser interface {
	io.ReaderAt
	io.Closer
}

type nopCloser struct{ io.ReaderAt }

func (nopCloser) Close() error { return nil }

// stream is a reader of any part of what open returns.
type stream struct {
	open func() (io.ReadCloser, error)

	mu      sync.Mutex
	current io.ReadCloser
	pos     int64 // of the next byte of current
	err     error // what ended current
	rewinds int
	// behind holds the bytes before pos, at the place of their offset modulo Window.
	behind []byte
}

// measure reads to the end.
func (s *stream) measure() (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.forward(MaxSize + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	return s.pos, nil
}

// ReadAt reads from the window as far as it goes, and from the stream behind it.
func (s *stream) ReadAt(b []byte, off int64) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if off < 0 {
		return 0, errors.New("negative offset")
	}
	if s.pos-off > s.kept() {
		if err := s.rewind(); err != nil {
			return 0, err
		}
	}
	if err := s.forward(off); err != nil {
		return 0, err
	}
	for n < len(b) {
		if at := off + int64(n); at < s.pos {
			n += s.recall(b[n:], at)
			continue
		}
		m, err := s.read(b[n:])
		n += m
		if err != nil && n < len(b) {
			return n, err
		}
	}
	return n, nil
}

// kept is how many bytes before pos are in the window.
func (s *stream) kept() int64 { return min(s.pos, int64(len(s.behind))) }

// recall copies bytes of the window from the offset at, at least one.
func (s *stream) recall(b []byte, at int64) int {
	from := at % Window
	n := min(int64(len(b)), s.pos-at, Window-from)
	return copy(b[:n], s.behind[from:])
}

// forward reads up to an offset, EOF when there is none.
func (s *stream) forward(off int64) error {
	var skipped [32 << 10]byte
	for s.pos < off {
		n := min(off-s.pos, int64(len(skipped)))
		if _, err := s.read(skipped[:n]); err != nil && s.pos < off {
			return err
		}
	}
	return nil
}

// read reads the next bytes of the stream and keeps them.
func (s *stream) read(b []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.current == nil {
		current, err := s.open()
		if err != nil {
			return 0, err
		}
		s.current, s.pos = current, 0
	}
	if s.behind == nil {
		s.behind = make([]byte, Window)
	}
	n, err := s.current.Read(b[:min(len(b), Window)])
	for part := b[:n]; len(part) > 0; {
		copied := copy(s.behind[s.pos%Window:], part)
		s.pos += int64(copied)
		part = part[copied:]
	}
	s.err = err
	return n, err
}

// rewind goes back to the beginning.
func (s *stream) rewind() error {
	if s.rewinds == MaxRewinds {
		return ErrRewinds
	}
	s.rewinds++
	err := s.close()
	s.pos, s.err = 0, nil
	return err
}

func (s *stream) close() error {
	if s.current == nil {
		return nil
	}
	err := s.current.Close()
	s.current = nil
	return err
}

// Close ends the stream that is open.
func (s *stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.close()
}
