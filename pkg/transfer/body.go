package transfer

import (
	"errors"
	"hash"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/progress"
)

// source gives bytes of a blob to one request, which may ask for them again
// after an authentication. It keeps what went wrong on the reading side: that
// is final, while what goes wrong on the sending side is tried again.
type source struct {
	blob     ingest.Blob
	from, to int64 // which bytes: all but those before from, up to to
	// hashed hashes the bytes while they are read, those before from too.
	hashed bool
	// bare hands a file to net/http as it is, so that the kernel sends it. Only
	// Linux advances the offset of such a file while it is sent, and the offset
	// is all that shows how far it is.
	bare bool
	// first is the blob opened already, or nil.
	first io.ReadCloser

	mu      sync.Mutex
	current *reading
	file    localFile // instead of current
	err     error
}

// newSource returns a source of the bytes from from to to. first is the blob
// opened already, or nil.
func newSource(b ingest.Blob, from, to int64, hashed, plainHTTP bool, first io.ReadCloser) *source {
	// net/http would read what follows to as well.
	bare := !hashed && plainHTTP && to == b.Size && runtime.GOOS == "linux"
	return &source{blob: b, from: from, to: to, hashed: hashed, bare: bare, first: first}
}

// reopen opens the blob, or takes the reader that is open already.
func (s *source) reopen() (io.ReadCloser, error) {
	s.mu.Lock()
	first := s.first
	s.first = nil
	s.mu.Unlock()
	if first != nil {
		return first, nil
	}
	return s.blob.Open()
}

// open returns the bytes from their beginning.
func (s *source) open() (io.ReadCloser, error) {
	r := &reading{src: s}
	if s.hashed {
		r.hash = digest.SHA256.Hash()
	}
	var file localFile
	if s.bare {
		// Opened now to see what it is. Otherwise not before the first byte is
		// wanted: a registry that refuses a request mostly does so earlier.
		rc, err := s.reopen()
		if err != nil {
			return nil, s.fail(err)
		}
		r.rc = rc
		file, _ = rc.(localFile)
	}
	if file != nil {
		if err := s.prepare(file); err != nil {
			_ = file.Close()
			return nil, s.fail(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current, s.file = r, file
	if file != nil {
		return file, nil
	}
	return r, nil
}

// prepare checks the size of a file before it is sent, and goes to where its
// bytes begin.
func (s *source) prepare(file localFile) error {
	info, err := file.Stat()
	if err == nil && info.Mode().IsRegular() && info.Size() != s.blob.Size {
		err = &ingest.SizeError{Name: s.blob.Name, Want: s.blob.Size, Got: info.Size()}
	}
	if err == nil && s.from > 0 {
		_, err = file.Seek(s.from, io.SeekStart)
	}
	return err
}

// moved returns up to where in the blob bytes were taken. Of a file that was
// closed nothing is known but that no more will be.
func (s *source) moved() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.file != nil:
		if n, err := s.file.Seek(0, io.SeekCurrent); err == nil {
			return n
		}
		return s.to
	case s.current != nil:
		return s.from + s.current.n.Load()
	}
	return s.from
}

// sum returns the digest of the bytes when all of them were read, and there
// were no more.
func (s *source) sum() (digest.Digest, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil || s.current.hash == nil || !s.current.end.Load() {
		return "", false
	}
	return digest.NewDigest(digest.SHA256, s.current.hash), true
}

// fail keeps the first error of the reading side.
func (s *source) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	return err
}

func (s *source) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// close closes what was opened and not wanted.
func (s *source) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first != nil {
		_ = s.first.Close()
		s.first = nil
	}
}

// reading is one pass over the bytes. It gives exactly the announced number of
// them or fails.
type reading struct {
	src  *source
	rc   io.ReadCloser // nil until the first Read
	hash hash.Hash     // nil when somebody else hashes
	n    atomic.Int64  // bytes given, from the first that was asked for
	end  atomic.Bool   // all bytes were read, and there were no more

	begun bool // it is where the first byte is

	mu     sync.Mutex // net/http may close while it reads
	closed bool
}

// Read implements io.Reader.
func (r *reading) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, os.ErrClosed
	}
	if r.rc == nil {
		rc, err := r.src.reopen()
		if err != nil {
			return 0, r.src.fail(err)
		}
		r.rc = rc
	}
	if !r.begun {
		if err := r.skip(); err != nil {
			return 0, r.src.fail(err)
		}
		r.begun = true
	}
	size := r.src.to - r.src.from
	left := size - r.n.Load()
	if left == 0 {
		return 0, r.finish()
	}
	n, err := r.rc.Read(p[:min(int64(len(p)), left)])
	if r.hash != nil {
		r.hash.Write(p[:n])
	}
	total := r.n.Add(int64(n))
	switch {
	case err == io.EOF && total < size:
		return n, r.src.fail(&ingest.SizeError{Name: r.src.blob.Name, Want: r.src.blob.Size, Got: r.src.from + total})
	case err != nil && err != io.EOF:
		return n, r.src.fail(err)
	case total == size:
		// The end is looked for before the last bytes go out: what is longer or
		// not what its digest says never gets to be a whole body.
		if err := r.finish(); !errors.Is(err, io.EOF) {
			return 0, err
		}
	}
	return n, nil
}

// skip goes to the first byte that is to be sent. What lies before is read only
// where it must be hashed, or where there is no other way.
func (r *reading) skip() error {
	from := r.src.from
	if seeker, ok := r.rc.(io.Seeker); ok && r.hash == nil {
		if from == 0 {
			return nil
		}
		_, err := seeker.Seek(from, io.SeekStart)
		return err
	}
	w := io.Discard
	if r.hash != nil {
		w = r.hash
	}
	n, err := io.CopyN(w, r.rc, from)
	if errors.Is(err, io.EOF) {
		return &ingest.SizeError{Name: r.src.blob.Name, Want: r.src.blob.Size, Got: n}
	}
	return err
}

// finish looks for bytes beyond the announced ones. It returns io.EOF when
// there are none.
func (r *reading) finish() error {
	if r.end.Load() || r.src.to < r.src.blob.Size {
		return io.EOF
	}
	var one [1]byte
	for {
		n, err := r.rc.Read(one[:])
		switch {
		case n > 0:
			return r.src.fail(&ingest.SizeError{Name: r.src.blob.Name, Want: r.src.blob.Size, Got: r.src.blob.Size + 1})
		case err == io.EOF:
			r.end.Store(true)
			return io.EOF
		case err != nil:
			return r.src.fail(err)
		}
	}
}

// Close implements io.Closer.
func (r *reading) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.rc == nil {
		r.closed = true
		return nil
	}
	r.closed = true
	return r.rc.Close()
}

// tally tells a Reporter how far a blob is, whatever was sent twice.
type tally struct {
	reporter progress.Reporter
	name     string

	mu   sync.Mutex
	n    int64
	sent int64 // bytes that went out, also those that went out twice
}

// set says that the blob is at n of its bytes, by sending.
func (t *tally) set(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n != t.n {
		t.reporter.Advance(t.name, n-t.n)
		t.sent += max(0, n-t.n)
		t.n = n
	}
}

// reuse says that the first n bytes were there from an earlier process.
func (t *tally) reuse(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reporter.Reuse(t.name, n-t.n)
	t.n = n
}
