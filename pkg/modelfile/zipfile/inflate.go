package zipfile

import (
	"compress/flate"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// outcome is what the bytes of a member came to.
type outcome struct {
	size   int64
	crc    uint32
	longer bool // more bytes followed than were announced
}

func (o *outcome) Write(b []byte) (int, error) {
	o.size += int64(len(b))
	o.crc = crc32.Update(o.crc, crc32.IEEETable, b)
	return len(b), nil
}

// inflater reads a deflated member: what comes out, up to what was announced, which
// is where Python stops.
type inflater struct {
	flate     io.ReadCloser
	announced int64
	budget    *int64
	done      func(outcome)
	outcome   outcome
}

func (f *inflater) Read(b []byte) (int, error) {
	left := f.announced - f.outcome.size
	if left == 0 {
		var more [1]byte
		n, _ := io.ReadFull(f.flate, more[:])
		f.outcome.longer = n > 0
		f.finish()
		return 0, io.EOF
	}
	n, err := f.flate.Read(b[:min(int64(len(b)), left)])
	_, _ = f.outcome.Write(b[:n]) // never fails
	if f.budget != nil {
		if *f.budget -= int64(n); *f.budget < 0 {
			return 0, ErrExpansion
		}
	}
	if _, corrupt := errors.AsType[flate.CorruptInputError](err); corrupt || errors.Is(err, io.ErrUnexpectedEOF) {
		return n, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if errors.Is(err, io.EOF) {
		f.finish()
	}
	return n, err
}

// finish tells once what came out.
func (f *inflater) finish() {
	if f.done != nil {
		f.done(f.outcome)
		f.done = nil
	}
}

func (f *inflater) Close() error { return f.flate.Close() }
