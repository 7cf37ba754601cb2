// Package numpy reads the headers of arrays that NumPy saved (NEP 1, formats 1.0 to
// 3.0) and steps over their data. An array of Python objects is a pickle behind such a
// header, which [Scan] hands on.
//
// The header is a Python literal. It is read as one, and not evaluated.
package numpy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
)

// Bounds on a header. None is part of the format.
const (
	// MaxHeaderSize bounds the header; NumPy itself reads 10,000 bytes unless pickles
	// are allowed.
	MaxHeaderSize = 1 << 20
	// MaxDims is NPY_MAXDIMS of NumPy 2; NumPy 1 has 32.
	MaxDims = 64
	// MaxFields bounds the fields of structured types.
	MaxFields = 10_000
	maxDepth  = 16
)

const magic = "\x93NUMPY"

// Header is what an array says of itself.
type Header struct {
	Major, Minor int
	// Descr is the type as it is written: '<f4', or the text of a structured one. It
	// is foreign text.
	Descr   string
	Fortran bool // the first index varies fastest
	Shape   []uint64
	// ItemSize is in bytes, 0 for objects.
	ItemSize int64
	// Objects: a pickle follows in place of data.
	Objects bool
	// DataOffset is where the data begin, Size how many bytes they have; -1 for
	// objects, which say so only at their end.
	DataOffset, Size int64

	typ dtype
}

// Error is a breach of the format. Errors of another type mean that the file could
// not be read.
type Error struct {
	Offset int64 // from the start of the file
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("byte %d: %s", e.Offset, e.Reason) }

func invalid(offset int64, format string, args ...any) error {
	return &Error{Offset: offset, Reason: fmt.Sprintf(format, args...)}
}

// Read reads the header of an array in a file of the given size, whose data must be
// there.
func Read(r io.ReaderAt, size int64) (*Header, error) {
	h, err := readHeader(r, size)
	if err != nil {
		return nil, err
	}
	if h.Size > size-h.DataOffset {
		return nil, invalid(h.DataOffset, "the data have %d bytes, %d are there", h.Size, size-h.DataOffset)
	}
	return h, nil
}

func readHeader(r io.ReaderAt, size int64) (*Header, error) {
	const most = len(magic) + 2 + 4
	head := make([]byte, min(int64(most), max(size, 0)))
	if err := readAt(r, head, 0); err != nil {
		return nil, err
	}
	if len(head) < len(magic)+2+2 || string(head[:len(magic)]) != magic {
		return nil, invalid(0, "file does not begin with the mark of an array and the length of its header")
	}
	h := &Header{Major: int(head[6]), Minor: int(head[7])}
	at := int64(len(magic) + 2)
	var n int64
	switch {
	case h.Major == 1:
		n = int64(binary.LittleEndian.Uint16(head[at:]))
		at += 2
	case h.Major != 2 && h.Major != 3:
		return nil, invalid(6, "version %d.%d is not known", h.Major, h.Minor)
	case len(head) < most:
		return nil, invalid(at, "file ends in the length of the header")
	default:
		n = int64(binary.LittleEndian.Uint32(head[at:]))
		at += 4
	}
	if n > size-at {
		return nil, invalid(at, "header of %d bytes ends beyond the file of %d bytes", n, size)
	}
	if n > MaxHeaderSize {
		return nil, invalid(at, "header of %d bytes is larger than %d", n, MaxHeaderSize)
	}
	text := make([]byte, n)
	if err := readAt(r, text, at); err != nil {
		return nil, err
	}
	h.DataOffset = at + n
	return h, h.parse(text, at)
}

// parse fills h from the literal.
func (h *Header) parse(text []byte, at int64) error {
	p := &literalParser{text: text}
	v, err := p.whole()
	if err != nil {
		return invalid(at+int64(p.pos), "header: %v", err)
	}
	if err := h.take(v, text); err != nil {
		return invalid(at, "header: %v", err)
	}
	return nil
}

// take reads what the literal says: exactly three keys, as NumPy demands.
func (h *Header) take(v value, text []byte) error {
	dict, ok := v.data.(map[string]value)
	if !ok || len(dict) != 3 {
		return errors.New("it is no dictionary of descr, fortran_order and shape")
	}
	descr, fortran, shape := dict["descr"], dict["fortran_order"], dict["shape"]
	if h.Fortran, ok = fortran.data.(bool); !ok {
		return errors.New("fortran_order is not True or False")
	}
	if err := h.takeShape(shape); err != nil {
		return err
	}
	fields := 0
	t, err := parseDescr(descr, &fields, 0)
	if err != nil {
		return err
	}
	h.typ, h.Objects, h.ItemSize = t, t.objects, t.size
	if h.Descr, ok = descr.data.(string); !ok {
		h.Descr = string(text[descr.from:descr.to])
	}
	return h.measure()
}

func (h *Header) takeShape(v value) error {
	dims, ok := v.data.([]value)
	if !ok || !v.tuple || len(dims) > MaxDims {
		return fmt.Errorf("shape is no tuple of at most %d numbers", MaxDims)
	}
	h.Shape = make([]uint64, len(dims))
	for i, d := range dims {
		if h.Shape[i], ok = d.data.(uint64); !ok {
			return fmt.Errorf("shape has a dimension that is no number from 0 to 2^64")
		}
	}
	return nil
}

// measure computes the size of the data.
func (h *Header) measure() error {
	if h.Objects {
		h.Size, h.ItemSize = -1, 0
		return nil
	}
	size, empty, over := uint64(h.ItemSize), h.ItemSize == 0, false
	for _, d := range h.Shape {
		hi, lo := bits.Mul64(size, d)
		size, over, empty = lo, over || hi != 0, empty || d == 0
	}
	if empty {
		return nil
	}
	if over || size > math.MaxInt64 {
		return errors.New("the data would have more than 2^63 bytes")
	}
	h.Size = int64(size)
	return nil
}

// TypeName returns the name of the type of numbers as NumPy has it (float32, int64),
// and Descr for all others.
func (h *Header) TypeName() string {
	if h.typ.name != "" {
		return h.typ.name
	}
	return h.Descr
}

// readAt fills b.
func readAt(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read %d bytes at byte %d: %w", len(b), at, err)
}
