// Package integrity checks bytes against the descriptor that announced them,
// in the reader: a mistake in how the reader is used cannot pass a wrong byte
// as the end of a right blob.
package integrity

import (
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Error says that bytes are not what their descriptor says.
type Error struct {
	What       string        // what the bytes were to be, for people; may be empty
	Want       digest.Digest // digest of the descriptor
	Got        digest.Digest // digest of the bytes, empty when only the size was compared
	WantSize   int64
	GotSize    int64 // at least so many bytes came
	Incomplete bool  // the bytes ended before WantSize
}

func (e *Error) Error() string {
	what := e.What
	if what == "" {
		what = "content"
	}
	switch {
	case e.Incomplete:
		return fmt.Sprintf("%s %s: it ends after %d of %d bytes", what, e.Want, e.GotSize, e.WantSize)
	case e.GotSize > e.WantSize:
		return fmt.Sprintf("%s %s: it is longer than the %d bytes announced", what, e.Want, e.WantSize)
	case e.Got == "":
		return fmt.Sprintf("%s %s: it has %d bytes, not %d", what, e.Want, e.GotSize, e.WantSize)
	}
	return fmt.Sprintf("%s %s: its bytes hash to %s", what, e.Want, e.Got)
}

// Reader passes on the bytes of a descriptor and fails the last read when they
// are not the announced ones. It never passes on more than the announced size,
// and returns io.EOF only after the digest was compared.
type Reader struct {
	r    io.Reader
	desc ocispec.Descriptor
	what string
	hash hash.Hash
	n    int64
	err  error
}

// NewReader returns a Reader of desc's bytes from r. what names them in errors.
// The digest of desc must be valid.
func NewReader(r io.Reader, desc ocispec.Descriptor, what string) *Reader {
	return &Reader{r: r, desc: desc, what: what, hash: desc.Digest.Algorithm().Hash()}
}

// Read implements io.Reader.
func (v *Reader) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	if v.n == v.desc.Size {
		v.err = v.finish()
		return 0, v.err
	}
	if left := v.desc.Size - v.n; int64(len(p)) > left {
		p = p[:left]
	}
	n, err := v.r.Read(p)
	v.hash.Write(p[:n])
	v.n += int64(n)
	switch {
	case err == io.EOF && v.n < v.desc.Size:
		v.err = &Error{What: v.what, Want: v.desc.Digest, WantSize: v.desc.Size, GotSize: v.n, Incomplete: true}
	case err != nil && err != io.EOF:
		v.err = err
	}
	return n, v.err
}

// finish is called when the announced size has been read: the source must be at
// its end and the digest must be the announced one.
func (v *Reader) finish() error {
	var one [1]byte
	for {
		n, err := v.r.Read(one[:])
		switch {
		case n > 0:
			return &Error{What: v.what, Want: v.desc.Digest, WantSize: v.desc.Size, GotSize: v.n + 1}
		case err == io.EOF:
			if got := digest.NewDigest(v.desc.Digest.Algorithm(), v.hash); got != v.desc.Digest {
				return &Error{What: v.what, Want: v.desc.Digest, Got: got, WantSize: v.desc.Size, GotSize: v.n}
			}
			return io.EOF
		case err != nil:
			return err
		}
	}
}

// ReadAll reads the bytes of desc, at most limit of them, and returns them only
// when they are the announced ones.
func ReadAll(r io.Reader, desc ocispec.Descriptor, limit int64, what string) ([]byte, error) {
	if desc.Size < 0 || desc.Size > limit {
		return nil, &TooLargeError{What: what, Size: desc.Size, Limit: limit}
	}
	if err := desc.Digest.Validate(); err != nil {
		return nil, fmt.Errorf("%s: digest %q: %w", what, desc.Digest, err)
	}
	buf := make([]byte, 0, desc.Size)
	v := NewReader(r, desc, what)
	for {
		if len(buf) == cap(buf) {
			// Full: the next read can only be the verdict.
			var one [1]byte
			_, err := v.Read(one[:])
			if errors.Is(err, io.EOF) {
				return buf, nil
			}
			return nil, err
		}
		n, err := v.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			return buf, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// TooLargeError says that something announces more bytes than modseal takes.
type TooLargeError struct {
	What  string
	Size  int64
	Limit int64
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%s announces %d bytes, more than the limit of %d", e.What, e.Size, e.Limit)
}
