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
// anything is allocated for it, and tensors are told one by one.
package gguf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

// Bounds on a header. None is part of the format.
const (
	MaxHeaderSize = 1 << 30
	MaxTensors    = 1_000_000
	MaxKeys       = 65_536
	MaxKeySize    = 65_535
	// MaxKeptText bounds the text that a Header holds: what is beyond it is walked
	// over and reported. The longest in use, chat templates, have 20 KiB; see
	// [Value.Place] for the others.
	MaxKeptText = 4 << 20
	// MaxKeyText bounds all keys together.
	MaxKeyText = 4 << 20
	// MaxKept bounds the tensors that Read keeps.
	MaxKept = 100_000
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
	templateKey      = "tokenizer.chat_template"
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
	// order of their data, except in version 1 and after Walk, where it is empty.
	TensorCount uint64
	Tensors     []Tensor
	Alignment   uint64
	// HeaderSize is where the keys and the tensor table end, DataStart where
	// the tensor data begins.
	HeaderSize, DataStart int64
	// Findings are oddities that are no breach of the format. [Header.Report] says them
	// to whoever judges files.
	Findings []string

	rules []string // of Findings
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

// Template is a chat template, which an inference engine runs as code in Jinja: a
// text of Size bytes in the file.
type Template struct {
	Key          string
	Offset, Size int64
}

// ChatTemplates returns the chat templates by their keys: tokenizer.chat_template,
// and tokenizer.chat_template.NAME of those for a purpose.
func (h *Header) ChatTemplates() []Template {
	var out []Template
	for _, key := range slices.Sorted(maps.Keys(h.KV)) {
		if key != templateKey && !strings.HasPrefix(key, templateKey+".") {
			continue
		}
		if offset, size, ok := h.KV[key].Place(); ok {
			out = append(out, Template{key, offset, size})
		}
	}
	return out
}

func (h *Header) find(rule, format string, args ...any) {
	h.Findings = append(h.Findings, fmt.Sprintf(format, args...))
	h.rules = append(h.rules, rule)
}

// Report reports the findings.
func (h *Header) Report(report hazard.Report) {
	for i, rule := range h.rules {
		report(hazard.Of(rule, "", h.Findings[i]))
	}
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

// ErrTooLarge is a header that is valid, and has more tensors than [Read] keeps.
// [Walk] reads it.
var ErrTooLarge = errors.New("more tensors than are kept in memory")

// Walk checks the header of the file of the given size, whole, and then calls f for
// each tensor in the order of the file, which is that of their data. The tensor and
// its shape are valid during the call alone. An error of f ends the walk and is
// returned as it is. f may be nil, and is not called for version 1.
//
// The tensor table is read twice.
func Walk(r io.ReaderAt, size int64, f func(*Tensor) error) (*Header, error) {
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
		d.h.find(hazard.FileUnread, "version 1: the tensor table was not read")
		return d.h, nil
	}
	if err := d.alignment(); err != nil {
		return nil, err
	}
	t := d.table()
	if err := t.check(); err != nil {
		return nil, err
	}
	if f == nil {
		return d.h, nil
	}
	if err := t.tell(f); err != nil {
		return nil, err
	}
	return d.h, nil
}

// Read is [Walk] into Tensors. A file with more than [MaxKept] of them is
// ErrTooLarge.
func Read(r io.ReaderAt, size int64) (*Header, error) {
	var ts []Tensor
	h, err := Walk(r, size, func(t *Tensor) error {
		if len(ts) == MaxKept {
			return ErrTooLarge
		}
		ts = append(ts, *t)
		ts[len(ts)-1].Shape = slices.Clone(t.Shape)
		return nil
	})
	if err != nil {
		return nil, err
	}
	h.Tensors = ts
	return h, nil
}

// decoder fills h from the cursor.
type decoder struct {
	*cursor
	h        *Header
	keySize  int // of all keys
	keptText int // of all strings kept
	nested   int // arrays inside arrays
	dropped  int // strings that were too long to keep

	minTensor, minKey uint64 // the least that each takes in this version
}

// preamble reads what stands before the keys and returns their number.
func (d *decoder) preamble() (uint64, error) {
	d.after = 4 + 2*4 // version and counts, in their shortest form
	magic, err := d.bytes(4)
	if err != nil {
		return 0, err
	}
	if string(magic) != "GGUF" {
		return 0, invalid(0, "file begins with %q, not with %q", magic, "GGUF")
	}
	d.after = 0
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
	d.minTensor, d.minKey = minTensorSize, minKeySize
	if !d.wide {
		d.minTensor, d.minKey = minTensorSize-4, minKeySize-4
	}
	switch left := d.remaining(); {
	case tensors > MaxTensors:
		return 0, invalid(at, "%d tensors are more than %d", tensors, MaxTensors)
	case keys > MaxKeys:
		return 0, invalid(at, "%d keys are more than %d", keys, MaxKeys)
	case tensors*d.minTensor+keys*d.minKey > left:
		return 0, invalid(at, "%d tensors and %d keys do not fit the %d bytes that are left", tensors, keys, left)
	}
	d.h.TensorCount = tensors
	return keys, nil
}
