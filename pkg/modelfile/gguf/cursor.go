package gguf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// windowSize is how much is read at once: a request each, where the file is in a
// registry.
const windowSize = 256 << 10

// cursor reads a header through a window. What is skipped is not read, and no byte
// behind the header is: a window is only as long as the header must go on.
type cursor struct {
	r     io.ReaderAt
	pos   int64 // in the file
	end   int64 // of what may be read
	size  int64 // of the file
	order binary.ByteOrder
	wide  bool // counts and lengths have 64 bits, as from version 2 on
	// after is how many bytes of header there are at least behind the entry that is
	// being read.
	after uint64

	window   []byte
	filled   int // bytes of window that are valid
	windowAt int64
}

func newCursor(r io.ReaderAt, size int64) *cursor {
	size = max(size, 0)
	end := min(size, MaxHeaderSize)
	return &cursor{
		r: r, end: end, size: size, order: binary.LittleEndian,
		window: make([]byte, min(end, windowSize)),
	}
}

func (c *cursor) remaining() uint64 { return uint64(c.end - c.pos) }

// beyond is the error for n more bytes than there are.
func (c *cursor) beyond(at int64, what string, n uint64) error {
	if c.end < c.size {
		return invalid(at, "%s of %d bytes ends beyond the %d bytes that a header may have", what, n, c.end)
	}
	return invalid(at, "%s of %d bytes ends beyond the file of %d bytes", what, n, c.size)
}

// bytes returns the next n bytes, n being small. They are valid until the next
// call.
func (c *cursor) bytes(n int) ([]byte, error) {
	if uint64(n) > c.remaining() {
		return nil, c.beyond(c.pos, "field", uint64(n))
	}
	if c.pos < c.windowAt || c.pos+int64(n) > c.windowAt+int64(c.filled) {
		c.filled = 0
		want := min(int64(len(c.window)), c.end-c.pos)
		if certain := uint64(n) + c.after; certain < uint64(want) {
			want = int64(certain)
		}
		if err := c.readAt(c.window[:want]); err != nil {
			return nil, err
		}
		c.windowAt, c.filled = c.pos, int(want)
	}
	from := int(c.pos - c.windowAt)
	c.pos += int64(n)
	return c.window[from : from+n], nil
}

// take returns the next n bytes as a string. The caller has compared n with
// what is left.
func (c *cursor) take(n int) (string, error) {
	if n <= len(c.window) {
		b, err := c.bytes(n)
		return string(b), err
	}
	b := make([]byte, n)
	if err := c.readAt(b); err != nil {
		return "", err
	}
	c.pos += int64(n)
	return string(b), nil
}

func (c *cursor) readAt(b []byte) error {
	n, err := c.r.ReadAt(b, c.pos)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read header at byte %d: %w", c.pos, err)
}

func (c *cursor) skip(n uint64) error {
	if n > c.remaining() {
		return c.beyond(c.pos, "field", n)
	}
	c.pos += int64(n)
	return nil
}

func (c *cursor) u32() (uint32, error) {
	b, err := c.bytes(4)
	if err != nil {
		return 0, err
	}
	return c.order.Uint32(b), nil
}

func (c *cursor) u64() (uint64, error) {
	b, err := c.bytes(8)
	if err != nil {
		return 0, err
	}
	return c.order.Uint64(b), nil
}

// count reads a number of things.
func (c *cursor) count() (uint64, error) {
	if c.wide {
		return c.u64()
	}
	n, err := c.u32()
	return uint64(n), err
}

// length reads the length of a string, which is not beyond what is left.
func (c *cursor) length(what string) (uint64, error) {
	at := c.pos
	n, err := c.count()
	if err == nil && n > c.remaining() {
		return 0, c.beyond(at, what, n)
	}
	return n, err
}

// str reads a string of at most limit bytes.
func (c *cursor) str(limit uint64, what string) (string, error) {
	n, err := c.bounded(limit, what)
	if err != nil {
		return "", err
	}
	return c.take(n)
}

// short is str for strings that fit the window. What it returns is valid until the
// next call.
func (c *cursor) short(limit uint64, what string) ([]byte, error) {
	n, err := c.bounded(limit, what)
	if err != nil {
		return nil, err
	}
	return c.bytes(n)
}

func (c *cursor) bounded(limit uint64, what string) (int, error) {
	at := c.pos
	n, err := c.length(what)
	if err == nil && n > limit {
		err = invalid(at, "%s of %d bytes is longer than %d", what, n, limit)
	}
	return int(n), err
}
