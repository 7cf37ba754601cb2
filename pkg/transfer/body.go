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

// source gives the bytes of a blob to one request, which may ask for them again
// after an authentication. It keeps what went wrong on the reading side: that
// is final, while what goes wrong on the sending side is tried again.
type source struct {
	blob   ingest.Blob
	hashed bool // hash the bytes while they are read
	// bare hands a file to net/http as it is, so that the kernel sends it. Only
	// Linux advances the offset of such a file while it is sent, and the offset
	// is all that shows how far it is.
	bare bool

	mu      sync.Mutex
	current *reading
	file    *os.File // instead of current
	err     error
}

func newSource(b ingest.Blob, hashed, plainHTTP bool) *source {
	return &source{blob: b, hashed: hashed, bare: !hashed && plainHTTP && runtime.GOOS == "linux"}
}

// open returns the bytes from their beginning.
func (s *source) open() (io.ReadCloser, error) {
	r := &reading{src: s}
	if s.hashed {
		r.hash = digest.SHA256.Hash()
	}
	var file *os.File
	if s.bare {
		// Opened now to see what it is. Otherwise not before the first byte is
		// wanted: a registry that refuses a request mostly does so earlier.
		rc, err := s.blob.Open()
		if err != nil {
			return nil, s.fail(err)
		}
		r.rc = rc
		file, _ = rc.(*os.File)
	}
	if file != nil {
		info, err := file.Stat()
		if err == nil && info.Mode().IsRegular() && info.Size() != s.blob.Size {
			err = &ingest.SizeError{Name: s.blob.Name, Want: s.blob.Size, Got: info.Size()}
		}
		if err != nil {
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

// moved returns how many bytes were taken. Of a file that was closed nothing is
// known but that no more will be.
func (s *source) moved() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.file != nil:
		if n, err := s.file.Seek(0, io.SeekCurrent); err == nil {
			return n
		}
		return s.blob.Size
	case s.current != nil:
		return s.current.n.Load()
	}
	return 0
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

// reading is one pass over the bytes. It gives exactly the announced number of
// them or fails.
type reading struct {
	src  *source
	rc   io.ReadCloser // nil until the first Read
	hash hash.Hash     // nil when the digest is known
	n    atomic.Int64
	end  atomic.Bool // all bytes were read, and there were no more

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
		rc, err := r.src.blob.Open()
		if err != nil {
			return 0, r.src.fail(err)
		}
		r.rc = rc
	}
	size := r.src.blob.Size
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
		return n, r.src.fail(&ingest.SizeError{Name: r.src.blob.Name, Want: size, Got: total})
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

// finish looks for bytes beyond the announced ones. It returns io.EOF when
// there are none.
func (r *reading) finish() error {
	if r.end.Load() {
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

	mu sync.Mutex
	n  int64
}

func (t *tally) set(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n != t.n {
		t.reporter.Advance(t.name, n-t.n)
		t.n = n
	}
}
