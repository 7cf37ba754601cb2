package onnx

import (
	"errors"
	"fmt"
	"io"
)

// The wire types of protobuf that a model uses. Groups (3 and 4) were gone
// before ONNX began.
const (
	wireVarint = 0
	wire64     = 1
	wireBytes  = 2
	wire32     = 5
)

// maxFieldNumber is the largest that protobuf allows.
const maxFieldNumber = 1<<29 - 1

// field is one field of a message. Its bytes, for wireBytes, are from the
// cursor's place to end.
type field struct {
	num   uint64
	wire  uint64
	at    int64  // of its tag, in the file
	value uint64 // of a varint
	end   int64
}

// is requires the wire type of a known field.
func (f field) is(wire uint64, what string) error {
	if f.wire != wire {
		return invalid(f.at, "%s has wire type %d, not %d", what, f.wire, wire)
	}
	return nil
}

// cursor reads a file through a window. What is skipped is not read.
type cursor struct {
	r    io.ReaderAt
	pos  int64 // in the file
	end  int64 // of the file
	left int   // fields that may still be read

	window   []byte
	filled   int // bytes of window that are valid
	windowAt int64
}

func newCursor(r io.ReaderAt, size int64) *cursor {
	size = max(size, 0)
	return &cursor{r: r, end: size, left: MaxFields, window: make([]byte, min(size, 16<<10))}
}

// fields calls f for every field of the message that ends at end. f need not
// read the field's bytes.
func (c *cursor) fields(what string, end int64, f func(field) error) error {
	for c.pos < end {
		if c.left--; c.left < 0 {
			return invalid(c.pos, "more than %d fields", MaxFields)
		}
		x, err := c.field(what, end)
		if err != nil {
			return err
		}
		if err := f(x); err != nil {
			return err
		}
		c.pos = x.end
	}
	return nil
}

// field reads a tag, and the value or the length behind it.
func (c *cursor) field(what string, end int64) (field, error) {
	x := field{at: c.pos}
	tag, err := c.varint(end)
	if err != nil {
		return x, err
	}
	if x.num, x.wire = tag>>3, tag&7; x.num == 0 || x.num > maxFieldNumber {
		return x, invalid(x.at, "%s: field number %d", what, x.num)
	}
	var size uint64
	switch x.wire {
	case wireVarint:
		x.value, err = c.varint(end)
	case wireBytes:
		size, err = c.varint(end)
	case wire64:
		size = 8
	case wire32:
		size = 4
	default:
		return x, invalid(x.at, "%s: field %d has wire type %d", what, x.num, x.wire)
	}
	if err != nil {
		return x, err
	}
	if left := uint64(end - c.pos); size > left {
		return x, invalid(x.at, "%s: field %d of %d bytes, where %d are left", what, x.num, size, left)
	}
	x.end = c.pos + int64(size)
	return x, nil
}

// varint reads a number that ends before end.
func (c *cursor) varint(end int64) (uint64, error) {
	at := c.pos
	var v uint64
	for shift := 0; c.pos < end; shift += 7 {
		b, err := c.next()
		if err != nil {
			return 0, err
		}
		// The tenth byte holds the last of 64 bits.
		if shift == 63 && b > 1 {
			return 0, invalid(at, "number above 64 bits")
		}
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v, nil
		}
	}
	return 0, invalid(at, "number ends beyond the message that holds it")
}

func (c *cursor) next() (byte, error) {
	if c.pos < c.windowAt || c.pos >= c.windowAt+int64(c.filled) {
		n := min(int64(len(c.window)), c.end-c.pos)
		c.filled = 0
		if err := c.readAt(c.window[:n]); err != nil {
			return 0, err
		}
		c.windowAt, c.filled = c.pos, int(n)
	}
	b := c.window[c.pos-c.windowAt]
	c.pos++
	return b, nil
}

// take reads what is left before end. The caller has bounded it.
func (c *cursor) take(end int64) ([]byte, error) {
	b := make([]byte, end-c.pos)
	if err := c.readAt(b); err != nil {
		return nil, err
	}
	c.pos = end
	return b, nil
}

func (c *cursor) readAt(b []byte) error {
	n, err := c.r.ReadAt(b, c.pos)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read model at byte %d: %w", c.pos, err)
}
