// Package safetensors reads the header of a safetensors file and refuses a
// file that breaks any rule of the format, because a header that two readers
// understand differently hides content from the one that checks it.
//
// The rules are those of the format description in the README of
// huggingface/safetensors (version 0.8), with the points it leaves open closed:
// keys are unique, a tensor has no members but dtype, shape and data_offsets,
// and the tensors cover the data without holes, overlaps or trailing bytes.
//
// Tensor data is never read. The header is parsed while it streams in, and what is
// kept of each tensor until all are checked are 24 bytes.
package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/modseal/modseal/pkg/modelfile/jsonscan"
)

// Bounds on a header. MaxHeaderSize is the format's own; the others are
// modseal's and lie far above any published model.
const (
	MaxHeaderSize = 100_000_000
	MaxTensors    = 1_000_000
	MaxNameSize   = jsonscan.MaxKeySize
	MaxRank       = 64
	// MaxMetadataSize bounds all of __metadata__; each entry is charged
	// metadataEntryCost on top of its text.
	MaxMetadataSize   = 4 << 20
	metadataEntryCost = 128
	// MaxKept and MaxKeptSize bound what Read keeps; the largest published models
	// have 100,000 tensors in all their files.
	MaxKept     = 100_000
	MaxKeptSize = 8 << 20
	// maxHeld bounds the header that is held while it is read.
	maxHeld = 4 << 20
)

const (
	lengthSize  = 8
	metadataKey = "__metadata__"
)

// DType is the element type of a tensor, spelled as in the header.
type DType string

// The element types of the format.
const (
	F4         DType = "F4"
	F6E2M3     DType = "F6_E2M3"
	F6E3M2     DType = "F6_E3M2"
	Bool       DType = "BOOL"
	U8         DType = "U8"
	I8         DType = "I8"
	F8E5M2     DType = "F8_E5M2"
	F8E4M3     DType = "F8_E4M3"
	F8E8M0     DType = "F8_E8M0"
	F8E4M3FNUZ DType = "F8_E4M3FNUZ"
	F8E5M2FNUZ DType = "F8_E5M2FNUZ"
	I16        DType = "I16"
	U16        DType = "U16"
	F16        DType = "F16"
	BF16       DType = "BF16"
	I32        DType = "I32"
	U32        DType = "U32"
	F32        DType = "F32"
	C64        DType = "C64"
	F64        DType = "F64"
	I64        DType = "I64"
	U64        DType = "U64"
)

// dtypes holds the width of each type in bits and its name in a ModelPack
// config, which has none for types of four and six bits, E8M0 and FNUZ.
var dtypes = map[DType]struct {
	bits      uint64
	precision string
}{
	F4:         {4, ""},
	F6E2M3:     {6, ""},
	F6E3M2:     {6, ""},
	Bool:       {8, "bool"},
	U8:         {8, "uint8"},
	I8:         {8, "int8"},
	F8E5M2:     {8, "float8_e5m2"},
	F8E4M3:     {8, "float8_e4m3"},
	F8E8M0:     {8, ""},
	F8E4M3FNUZ: {8, ""},
	F8E5M2FNUZ: {8, ""},
	I16:        {16, "int16"},
	U16:        {16, "uint16"},
	F16:        {16, "float16"},
	BF16:       {16, "bfloat16"},
	I32:        {32, "int32"},
	U32:        {32, "uint32"},
	F32:        {32, "float32"},
	C64:        {64, "complex64"},
	F64:        {64, "float64"},
	I64:        {64, "int64"},
	U64:        {64, "uint64"},
}

// Bits returns the width of one element, 0 for a type the format does not know.
func (d DType) Bits() uint64 { return dtypes[d].bits }

// PrecisionName returns the name that a ModelPack config has for d, "" when it
// has none.
func PrecisionName(d DType) string { return dtypes[d].precision }

// Header is what a file says about its tensors.
type Header struct {
	// Metadata is the free text of __metadata__, nil when the file has none.
	Metadata map[string]string
	// Tensors are sorted by offset; tensors without data that share an offset
	// are sorted by name. Walk leaves it empty.
	Tensors     []Tensor
	TensorCount int
	// HeaderSize is the length of the JSON header, padding included. The data
	// begins HeaderSize + 8 bytes into the file.
	HeaderSize int64
}

// DataStart returns where the data of the tensors begins, in the file.
func (h *Header) DataStart() int64 { return h.HeaderSize + lengthSize }

// Tensor is one entry of the header. Begin and End count from the start of the
// data.
type Tensor struct {
	Name       string
	DType      DType
	Shape      []uint64
	Begin, End uint64
	At         int64 // where the data begins in the file
}

// Elements returns the product of the shape; 1 for rank 0. Walk has checked
// that it does not overflow.
func (t Tensor) Elements() uint64 {
	n := uint64(1)
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Error is a breach of the format. Errors of another type mean that the file
// could not be read.
type Error struct {
	// Offset counts from the start of the file; -1 when the breach is not at
	// one place.
	Offset int64
	Reason string
}

func (e *Error) Error() string {
	if e.Offset < 0 {
		return e.Reason
	}
	return fmt.Sprintf("byte %d: %s", e.Offset, e.Reason)
}

func invalid(offset int64, format string, args ...any) error {
	return &Error{Offset: offset, Reason: fmt.Sprintf(format, args...)}
}

// ErrTooLarge is a header that is valid, and has more than [Read] keeps. [Walk]
// reads it.
var ErrTooLarge = errors.New("more tensors than are kept in memory")

// Walk checks the header of the file of the given size, whole, and then calls f for
// each tensor in the order of the header, which need not be that of their data. The
// tensor and its shape are valid during the call alone. An error of f ends the walk
// and is returned as it is. f may be nil.
//
// A header that is larger than 4 MiB is read twice.
func Walk(r io.ReaderAt, size int64, f func(*Tensor) error) (*Header, error) {
	n, err := headerSize(r, size)
	if err != nil {
		return nil, err
	}
	if r, err = hold(r, n); err != nil {
		return nil, err
	}
	h, err := check(r, n, uint64(size-lengthSize-n))
	if err != nil {
		return nil, err
	}
	if f == nil {
		return h, nil
	}
	err = newDecoder(r, n, func(d *decoder, _ int64) error {
		d.tensor.Name, d.tensor.At = string(d.name), h.DataStart()+int64(d.tensor.Begin)
		return f(&d.tensor)
	}).header()
	if err != nil {
		return nil, err
	}
	return h, nil
}

// check reads a header of n bytes and compares its tensors with so many bytes of
// data.
func check(r io.ReaderAt, n int64, data uint64) (*Header, error) {
	c := newChecker(r, n)
	d := newDecoder(r, n, c.add)
	d.keep = true
	if err := d.header(); err != nil {
		return nil, err
	}
	if err := c.unique(); err != nil {
		return nil, err
	}
	if err := c.covers(data); err != nil {
		return nil, err
	}
	return &Header{Metadata: d.metadata, TensorCount: d.count, HeaderSize: n}, nil
}

// Read is [Walk] into Tensors. A header with more than [MaxKept] tensors, or with
// names and shapes of more than [MaxKeptSize] bytes, is ErrTooLarge.
func Read(r io.ReaderAt, size int64) (*Header, error) {
	var ts []Tensor
	kept := 0
	h, err := Walk(r, size, func(t *Tensor) error {
		if kept += len(t.Name) + 8*len(t.Shape); len(ts) == MaxKept || kept > MaxKeptSize {
			return ErrTooLarge
		}
		ts = append(ts, *t)
		last := &ts[len(ts)-1]
		last.Shape = append(make([]uint64, 0, len(t.Shape)), t.Shape...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(ts, func(a, b Tensor) int {
		return cmp.Or(cmp.Compare(a.Begin, b.Begin), cmp.Compare(a.End, b.End), cmp.Compare(a.Name, b.Name))
	})
	h.Tensors = ts
	return h, nil
}

// hold reads a header of the usual size into memory, so that reading it again costs
// nothing. Others are read in pieces.
func hold(r io.ReaderAt, n int64) (io.ReaderAt, error) {
	if n > maxHeld {
		return r, nil
	}
	b := make([]byte, lengthSize+n)
	if got, err := r.ReadAt(b[lengthSize:], lengthSize); got < int(n) {
		return nil, readError(lengthSize+int64(got), err)
	}
	return bytes.NewReader(b), nil
}

func headerSize(r io.ReaderAt, size int64) (int64, error) {
	if size < lengthSize {
		return 0, invalid(0, "a file of %d bytes has no room for the header length", size)
	}
	var b [lengthSize]byte
	if n, err := r.ReadAt(b[:], 0); n < len(b) {
		return 0, readError(0, err)
	}
	n := binary.LittleEndian.Uint64(b[:])
	if n > MaxHeaderSize {
		return 0, invalid(0, "header of %d bytes is larger than %d", n, MaxHeaderSize)
	}
	if int64(n) > size-lengthSize {
		return 0, invalid(0, "header of %d bytes does not fit a file of %d", n, size)
	}
	if n == 0 {
		return 0, invalid(0, "header is empty")
	}
	return int64(n), nil
}

// readError tells a reader that ends before the promised size from one that
// fails.
func readError(at int64, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read header at byte %d: %w", at, err)
}
