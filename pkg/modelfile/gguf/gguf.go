// Package gguf reads the header of a GGUF file: its keys and its tensor table,
// never its tensor data.
//
// The rules are those of docs/gguf.md in ggml-org/ggml and, where that is
// silent, of the loader in llama.cpp (gguf.cpp): a file that the loader would
// refuse or understand differently is refused here. Versions 2 and 3 are read
// whole. Version 1, which llama.cpp no longer loads, is read for its keys.
// Big-endian files have no mark of their own; their version number shows the
// byte order.
//
// Every count and length is compared with the bytes that are left before
// anything is allocated for it.
package gguf

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// Bounds on a header. None is part of the format.
const (
	MaxHeaderSize = 1 << 30
	MaxTensors    = 1_000_000
	MaxKeys       = 65_536
	MaxKeySize    = 65_535
	// MaxKeptText bounds the text that a Header holds: longer values are walked
	// over and reported, more text in keys is refused.
	MaxKeptText = 16 << 20
	// MaxItems bounds the arrays that are kept.
	MaxItems = 4_096
	// MaxArrayDepth bounds arrays of arrays, which the format allows and
	// llama.cpp refuses.
	MaxArrayDepth = 4
	// MaxDims is GGML_MAX_DIMS.
	MaxDims     = 4
	maxNameSize = 64

	defaultAlignment = 32
	alignmentKey     = "general.alignment"
)

// keptArrays are the arrays of text whose items describe the model. All others
// (a vocabulary may have millions of items) are walked over.
var keptArrays = []string{"general.languages", "general.tags", "general.datasets"}

// Header is what a file says about itself.
type Header struct {
	Version   uint32
	BigEndian bool
	KV        map[string]Value
	// TensorCount is what the file announces. Tensors holds as many, in the
	// order of their data, except in version 1, where it is empty.
	TensorCount uint64
	Tensors     []Tensor
	Alignment   uint64
	// HeaderSize is where the keys and the tensor table end, DataStart where
	// the tensor data begins.
	HeaderSize, DataStart int64
	// Findings are oddities that are no breach of the format.
	Findings []string
}

// String returns a string value.
func (h *Header) String(key string) (string, bool) { return h.KV[key].Text() }

// Uint returns an integer value that is not negative, of any integer type.
func (h *Header) Uint(key string) (uint64, bool) {
	v, ok := h.KV[key]
	if !ok {
		return 0, false
	}
	return v.Uint()
}

// Strings returns general.languages, general.tags or general.datasets. Writers
// use a single string as well as an array.
func (h *Header) Strings(key string) ([]string, bool) {
	v := h.KV[key]
	if s, ok := v.Text(); ok {
		return []string{s}, true
	}
	return v.Items()
}

func (h *Header) find(format string, args ...any) {
	h.Findings = append(h.Findings, fmt.Sprintf(format, args...))
}

// Error is a breach of the format. Errors of another type mean that the file
// could not be read.
type Error struct {
	// Offset counts from the start of the file.
	Offset int64
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("byte %d: %s", e.Offset, e.Reason) }

func invalid(offset int64, format string, args ...any) error {
	return &Error{Offset: offset, Reason: fmt.Sprintf(format, args...)}
}

// Read parses and checks the header of the file of the given size.
func Read(r io.ReaderAt, size int64) (*Header, error) {
	d := &decoder{cursor: newCursor(r, size), h: &Header{KV: map[string]Value{}, Alignment: defaultAlignment}}
	keys, err := d.preamble()
	if err != nil {
		return nil, err
	}
	if err := d.keys(keys); err != nil {
		return nil, err
	}
	if d.h.Version == 1 {
		d.h.HeaderSize = d.pos
		d.h.find("version 1: the tensor table was not read")
		return d.h, nil
	}
	if err := d.alignment(); err != nil {
		return nil, err
	}
	if err := d.tensorTable(); err != nil {
		return nil, err
	}
	if err := d.layout(size); err != nil {
		return nil, err
	}
	return d.h, nil
}

// decoder fills h from the cursor.
type decoder struct {
	*cursor
	h        *Header
	keySize  int // of all keys
	keptText int // of all strings kept
	nested   int // arrays inside arrays
	dropped  int // strings that were too long to keep
}

// preamble reads what stands before the keys and returns their number.
func (d *decoder) preamble() (uint64, error) {
	magic, err := d.bytes(4)
	if err != nil {
		return 0, err
	}
	if string(magic) != "GGUF" {
		return 0, invalid(0, "file begins with %q, not with %q", magic, "GGUF")
	}
	at := d.pos
	version, err := d.u32()
	if err != nil {
		return 0, err
	}
	// llama.cpp tells the byte order the same way: no version reaches 65,536.
	if version != 0 && version&0xffff == 0 {
		d.order = binary.BigEndian
		d.h.BigEndian = true
		version = version>>24 | version>>8&0xff00
	}
	if version < 1 || version > 3 {
		return 0, invalid(at, "version %d is not known", version)
	}
	d.h.Version = version
	d.wide = version > 1
	return d.counts()
}

// The least that a tensor and a key take: all their fields with an empty name,
// no dimension and a value of one byte.
const (
	minTensorSize = 8 + 4 + 4 + 8
	minKeySize    = 8 + 4 + 1
)

func (d *decoder) counts() (uint64, error) {
	at := d.pos
	tensors, err := d.count()
	if err != nil {
		return 0, err
	}
	keys, err := d.count()
	if err != nil {
		return 0, err
	}
	minTensor, minKey := uint64(minTensorSize), uint64(minKeySize)
	if !d.wide {
		minTensor, minKey = minTensor-4, minKey-4
	}
	switch left := d.remaining(); {
	case tensors > MaxTensors:
		return 0, invalid(at, "%d tensors are more than %d", tensors, MaxTensors)
	case keys > MaxKeys:
		return 0, invalid(at, "%d keys are more than %d", keys, MaxKeys)
	case tensors*minTensor+keys*minKey > left:
		return 0, invalid(at, "%d tensors and %d keys do not fit the %d bytes that are left", tensors, keys, left)
	}
	d.h.TensorCount = tensors
	return keys, nil
}

func (d *decoder) keys(n uint64) error {
	for range n {
		if err := d.key(); err != nil {
			return err
		}
	}
	if d.dropped > 0 {
		d.h.find("%d strings were too long to keep", d.dropped)
	}
	if d.nested > 0 {
		d.h.find("%d arrays inside arrays, which llama.cpp refuses", d.nested)
	}
	return nil
}

func (d *decoder) key() error {
	at := d.pos
	key, err := d.str(MaxKeySize, "key")
	if err != nil {
		return err
	}
	if err := d.checkKey(key, at); err != nil {
		return err
	}
	t, err := d.valueType(key)
	if err != nil {
		return err
	}
	v, err := d.value(key, t)
	if err != nil {
		return err
	}
	d.h.KV[key] = v
	return nil
}

func (d *decoder) checkKey(key string, at int64) error {
	if key == "" {
		return invalid(at, "empty key")
	}
	for i := range len(key) {
		if key[i] >= 0x80 {
			return invalid(at, "key %q is not ASCII", key)
		}
	}
	if _, dup := d.h.KV[key]; dup {
		return invalid(at, "duplicate key %q", key)
	}
	if d.keySize += len(key); d.keySize > MaxKeptText {
		return invalid(at, "keys longer than %d bytes in all", MaxKeptText)
	}
	return nil
}

func (d *decoder) valueType(key string) (ValueType, error) {
	at := d.pos
	n, err := d.u32()
	if t := ValueType(n); err != nil || t.known() {
		return t, err
	}
	return 0, invalid(at, "key %q: value of unknown type %d", key, n)
}

func (d *decoder) value(key string, t ValueType) (Value, error) {
	switch t {
	case TypeString:
		return d.text(key)
	case TypeArray:
		return d.array(key)
	}
	v := Value{Type: t}
	at := d.pos
	b, err := d.bytes(int(t.size()))
	if err != nil {
		return v, err
	}
	switch len(b) {
	case 1:
		v.bits = uint64(b[0])
	case 2:
		v.bits = uint64(d.order.Uint16(b))
	case 4:
		v.bits = uint64(d.order.Uint32(b))
	case 8:
		v.bits = d.order.Uint64(b)
	}
	if t == TypeBool && v.bits > 1 {
		return v, invalid(at, "key %q: a bool of %d", key, v.bits)
	}
	return v, nil
}

func (d *decoder) text(key string) (Value, error) {
	v := Value{Type: TypeString}
	n, err := d.length("value of " + strconv.Quote(key))
	if err != nil {
		return v, err
	}
	if n > uint64(MaxKeptText-d.keptText) {
		d.dropped++
		return v, d.skip(n)
	}
	d.keptText += int(n)
	v.kept = true
	v.text, err = d.take(int(n))
	return v, err
}

// array reads the head of an array and walks over its items. Those of
// keptArrays are kept.
func (d *decoder) array(key string) (Value, error) {
	v := Value{Type: TypeArray}
	var err error
	if v.Elem, v.Len, err = d.arrayHead(key); err != nil {
		return v, err
	}
	if v.Elem != TypeString || v.Len > MaxItems || !slices.Contains(keptArrays, key) {
		return v, d.skipItems(key, v.Elem, v.Len, 1)
	}
	v.kept = true
	for range v.Len {
		item, err := d.text(key)
		if err != nil {
			return v, err
		}
		v.kept = v.kept && item.kept
		v.items = append(v.items, item.text)
	}
	return v, nil
}

func (d *decoder) arrayHead(key string) (ValueType, uint64, error) {
	t, err := d.valueType(key)
	if err != nil {
		return 0, 0, err
	}
	at := d.pos
	n, err := d.count()
	if err != nil {
		return 0, 0, err
	}
	// A string takes its length at least, an array its type and length.
	least := t.size()
	if t == TypeString || t == TypeArray {
		least = 4
		if d.wide {
			least = 8
		}
	}
	if left := d.remaining(); n > left/least {
		return 0, 0, invalid(at, "key %q: %d items of type %s do not fit the %d bytes that are left", key, n, t, left)
	}
	return t, n, nil
}

func (d *decoder) skipItems(key string, t ValueType, n uint64, depth int) error {
	switch t {
	case TypeString:
		for range n {
			length, err := d.length("item of " + strconv.Quote(key))
			if err != nil {
				return err
			}
			if err := d.skip(length); err != nil {
				return err
			}
		}
		return nil
	case TypeArray:
		if depth == MaxArrayDepth && n > 0 {
			return invalid(d.pos, "key %q: arrays nested deeper than %d", key, MaxArrayDepth)
		}
		for range n {
			d.nested++
			t, n, err := d.arrayHead(key)
			if err != nil {
				return err
			}
			if err := d.skipItems(key, t, n, depth+1); err != nil {
				return err
			}
		}
		return nil
	case TypeBool:
		for range n {
			if _, err := d.value(key, TypeBool); err != nil {
				return err
			}
		}
		return nil
	}
	return d.skip(n * t.size()) // arrayHead has checked that it fits
}

// alignment reads general.alignment, which the format requires to be a
// multiple of 8 and llama.cpp to be a power of two of type u32.
func (d *decoder) alignment() error {
	v, ok := d.h.KV[alignmentKey]
	if !ok {
		return nil
	}
	if v.Type != TypeUint32 {
		return invalid(d.pos, "%s is of type %s, not u32", alignmentKey, v.Type)
	}
	if v.bits%8 != 0 || v.bits&(v.bits-1) != 0 || v.bits == 0 {
		return invalid(d.pos, "%s %d is not a power of two from 8 on", alignmentKey, v.bits)
	}
	d.h.Alignment = v.bits
	return nil
}
