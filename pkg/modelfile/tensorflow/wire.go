package tensorflow

import (
	"errors"
	"fmt"
	"io"
)

// Error is a breach of the format.
type Error struct {
	Offset int64
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("byte %d: %s", e.Offset, e.Reason) }

// Wire types of protocol buffers (https://protobuf.dev/programming-guides/encoding/).
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireGroup   = 3
	wireFixed32 = 5
)

// field is one field of a message, in the file.
type field struct {
	number     uint64
	wire       uint64
	begin, end int64 // of what it holds, when that is bytes
}

// cursor reads a file through a window.
type cursor struct {
	r      io.ReaderAt
	size   int64
	at     int64 // where window begins
	window []byte
	buffer [windowSize]byte
	fields int64 // read so far
}

const (
	windowSize = 64 << 10
	// maxFields bounds the fields of one file: a graph of a million nodes has ten
	// million.
	maxFields = 100_000_000
)

// each calls f for every field of the message between begin and end.
func (c *cursor) each(begin, end int64, f func(field) error) error {
	for pos := begin; pos < end; {
		fd, next, err := c.field(pos, end)
		if err != nil {
			return err
		}
		if c.fields++; c.fields > maxFields {
			return &Error{pos, "it has more fields than a graph has"}
		}
		if err := f(fd); err != nil {
			return err
		}
		pos = next
	}
	return nil
}

// field reads the field at pos of a message that ends at end.
func (c *cursor) field(pos, end int64) (field, int64, error) {
	tag, at, err := c.varint(pos, end)
	if err != nil {
		return field{}, 0, err
	}
	f := field{number: tag >> 3, wire: tag & 7, begin: at}
	if f.number == 0 || f.number > 1<<29-1 {
		return f, 0, &Error{pos, fmt.Sprintf("field number %d does not exist", f.number)}
	}
	switch f.wire {
	case wireVarint:
		_, f.end, err = c.varint(at, end)
	case wireFixed64:
		f.end = at + 8
	case wireFixed32:
		f.end = at + 4
	case wireBytes:
		var n uint64
		if n, f.begin, err = c.varint(at, end); err == nil && n > uint64(end-f.begin) {
			err = &Error{pos, fmt.Sprintf("a field of %d bytes in a message that has %d left", n, end-f.begin)}
		}
		f.end = f.begin + int64(n)
	default:
		err = &Error{pos, fmt.Sprintf("wire type %d is not used", f.wire)}
	}
	if err == nil && f.end > end {
		err = &Error{pos, "the message ends within a field"}
	}
	return f, f.end, err
}

func (c *cursor) varint(pos, end int64) (uint64, int64, error) {
	var v uint64
	for i := range int64(10) {
		if pos+i >= end {
			return 0, 0, &Error{pos, "the message ends within a number"}
		}
		b, err := c.byteAt(pos + i)
		if err != nil {
			return 0, 0, err
		}
		if i == 9 && b > 1 {
			break
		}
		v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			return v, pos + i + 1, nil
		}
	}
	return 0, 0, &Error{pos, "a number has more than 64 bits"}
}

func (c *cursor) byteAt(pos int64) (byte, error) {
	if pos < c.at || pos >= c.at+int64(len(c.window)) {
		if err := c.fill(pos); err != nil {
			return 0, err
		}
	}
	return c.window[pos-c.at], nil
}

func (c *cursor) fill(pos int64) error {
	c.at, c.window = pos, c.buffer[:min(windowSize, c.size-pos)]
	n, err := c.r.ReadAt(c.window, pos)
	if n == len(c.window) {
		return nil
	}
	c.window = nil
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// text returns the bytes of a field, and of a long one the beginning.
func (c *cursor) text(f field, most int64) (string, error) {
	if f.wire != wireBytes {
		return "", &Error{f.begin, "a number stands where a text belongs"}
	}
	b := make([]byte, min(f.end-f.begin, most))
	for i := range b {
		var err error
		if b[i], err = c.byteAt(f.begin + int64(i)); err != nil {
			return "", err
		}
	}
	return string(b), nil
}
