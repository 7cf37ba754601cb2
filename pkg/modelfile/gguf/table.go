package gguf

import (
	"fmt"
	"hash/maphash"
	"math"
	"slices"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

// table reads the tensor table, from its first byte on. Names and shapes are told
// one by one and never held together: of each tensor, eight bytes are.
type table struct {
	*decoder
	start  int64
	name   []byte // of the tensor that is being read
	tensor Tensor
	dims   [MaxDims]uint64

	seed  maphash.Seed
	names []uint64 // hashes

	// next is where the next tensor begins, if the size of the one before it is
	// known, else not before.
	next         uint64
	sized        bool
	unknown      uint64 // tensors of unknown type
	firstUnknown string
}

func (d *decoder) table() *table {
	t := &table{decoder: d, start: d.pos, seed: maphash.MakeSeed(), sized: true}
	t.names = make([]uint64, 0, d.h.TensorCount) // so many fit the file
	return t
}

// each calls f for each entry of the table, with its place.
func (t *table) each(f func(at int64) error) error {
	t.pos = t.start
	for i := range t.h.TensorCount {
		at := t.pos
		if err := t.entry((t.h.TensorCount - 1 - i) * t.minTensor); err != nil {
			return err
		}
		if err := f(at); err != nil {
			return err
		}
	}
	return nil
}

// entry reads one entry. Behind it are at least so many bytes of header.
func (t *table) entry(behind uint64) error {
	const typeAndOffset = 4 + 8
	t.after = behind + 4 + typeAndOffset
	name, err := t.short(maxNameSize, "tensor name")
	if err != nil {
		return err
	}
	t.name = append(t.name[:0], name...)
	at := t.pos
	t.after = behind + typeAndOffset
	dims, err := t.u32()
	if err != nil {
		return err
	}
	if dims > MaxDims {
		return invalid(at, "tensor %q: %d dimensions are more than %d", t.name, dims, MaxDims)
	}
	for i := range t.dims[:dims] {
		t.after = behind + typeAndOffset + uint64(int(dims)-1-i)*8
		if t.dims[i], err = t.u64(); err != nil {
			return err
		}
	}
	t.after = behind + 8
	n, err := t.u32()
	if err != nil {
		return err
	}
	t.after = behind
	t.tensor = Tensor{Type: Type(n), Shape: t.dims[:dims]}
	t.tensor.Offset, err = t.u64()
	return err
}

// check reads the table and finds what is wrong with it.
func (t *table) check() error {
	if err := t.each(t.add); err != nil {
		return err
	}
	t.h.HeaderSize = t.pos
	t.h.DataStart = int64(padded(uint64(t.pos), t.h.Alignment))
	if err := t.unique(); err != nil {
		return err
	}
	t.names = nil
	if t.unknown > 0 {
		t.h.find(hazard.GGUFOdd, "%d tensors of unknown type, %s: their sizes were not checked", t.unknown, t.firstUnknown)
	}
	return t.inside()
}

func (t *table) add(at int64) error {
	if err := t.tensor.measure(t.name, at); err != nil {
		return err
	}
	t.names = append(t.names, maphash.Bytes(t.seed, t.name))
	return t.place(at)
}

// place checks that a tensor begins where the one before it ends, padded (gguf.cpp,
// "tensor has offset, expected"). After a tensor of unknown type the next one may
// begin anywhere behind it.
func (t *table) place(at int64) error {
	x, align := &t.tensor, t.h.Alignment
	switch {
	case x.Offset%align != 0:
		return invalid(at, "tensor %q: offset %d is no multiple of the alignment %d", t.name, x.Offset, align)
	case x.Offset < t.next || t.sized && x.Offset != t.next:
		return invalid(at, "tensor %q: offset %d, but the tensors before it end at %d", t.name, x.Offset, t.next)
	case x.Offset > math.MaxInt64 || x.Size > math.MaxInt64-x.Offset:
		return invalid(at, "tensor %q: %d bytes at offset %d overflow", t.name, x.Size, x.Offset)
	}
	t.next = padded(x.Offset+x.Size, align)
	if t.sized = x.Type.Known(); t.sized {
		return nil
	}
	if t.unknown++; t.unknown == 1 {
		t.firstUnknown = fmt.Sprintf("the first %q of type %d", t.name, uint32(x.Type))
	}
	return nil
}

// inside checks that the tensors end inside the file. They are in order, so that
// the last one tells.
func (t *table) inside() error {
	data := uint64(max(t.size-t.h.DataStart, 0))
	beyond := func(x *Tensor) bool { return x.Offset > data || x.Size > data-x.Offset }
	if t.h.TensorCount == 0 || !beyond(&t.tensor) {
		if t.sized && data > t.next {
			t.h.find(hazard.GGUFTrailing, "%d bytes after the tensor data", data-t.next)
		}
		return nil
	}
	return t.each(func(at int64) error {
		x := &t.tensor
		if err := x.measure(t.name, at); err != nil {
			return err
		}
		if beyond(x) {
			return invalid(at, "tensor %q: %d bytes at offset %d end beyond the file, which holds %d bytes of data", t.name, x.Size, x.Offset, data)
		}
		return nil
	})
}

// unique finds two tensors of one name. Names that share a hash are compared as
// they are.
func (t *table) unique() error {
	slices.Sort(t.names)
	for i := 1; i < len(t.names); i++ {
		if t.names[i] != t.names[i-1] {
			continue
		}
		seen := map[string]bool{}
		err := t.each(func(at int64) error {
			if maphash.Bytes(t.seed, t.name) != t.names[i] {
				return nil
			}
			if seen[string(t.name)] {
				return invalid(at, "duplicate tensor %q", t.name)
			}
			seen[string(t.name)] = true
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// tell calls f for each tensor of a table that was checked.
func (t *table) tell(f func(*Tensor) error) error {
	return t.each(func(at int64) error {
		if err := t.tensor.measure(t.name, at); err != nil {
			return err
		}
		t.tensor.Name, t.tensor.At = string(t.name), t.h.DataStart+int64(t.tensor.Offset)
		return f(&t.tensor)
	})
}

// padded rounds n, which is at most 2^63, up to a multiple of align.
func padded(n, align uint64) uint64 { return (n + align - 1) / align * align }
