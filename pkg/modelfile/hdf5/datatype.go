package hdf5

import (
	"fmt"
)

// class is the class of a type (IV.A.2.d).
type class uint8

const (
	classInteger   class = 0
	classFloat     class = 1
	classTime      class = 2
	classString    class = 3
	classBits      class = 4
	classOpaque    class = 5
	classCompound  class = 6
	classReference class = 7
	classEnum      class = 8
	classVariable  class = 9
	classArray     class = 10
)

var classNames = [...]string{
	classTime: "time", classString: "string", classBits: "bits", classOpaque: "opaque", classCompound: "compound",
	classReference: "reference", classEnum: "enum", classVariable: "sequence", classArray: "array",
}

// datatype is a type of elements.
type datatype struct {
	class class
	name  string
	size  int64
	// variable: an element is a place in a heap of the file, where text stands.
	variable bool
}

// datatype reads a type. Members of compound ones are not read.
func (c *cursor) datatype() (datatype, error) {
	at := c.at
	b, err := c.bytes(8)
	if err != nil {
		return datatype{}, err
	}
	t := datatype{class: class(b[0] & 0x0f), size: int64(b[4]) | int64(b[5])<<8 | int64(b[6])<<16 | int64(b[7])<<24}
	version, flags := b[0]>>4, b[1]
	if version < 1 || version > 5 {
		return datatype{}, invalid(at, "type of version %d is not known", version)
	}
	switch t.class {
	case classInteger:
		t.name = fmt.Sprintf("int%d", 8*t.size)
		if flags&(1<<3) == 0 {
			t.name = "u" + t.name
		}
	case classFloat:
		t.name, err = c.float(t.size)
	case classVariable:
		t.name = "sequence"
		if t.variable = flags&0x0f == 1; t.variable {
			t.name = "string"
		}
	case classEnum:
		if version >= 3 || t.size == 1 { // booleans of h5py are enumerations of one byte
			t.name = fmt.Sprintf("enum%d", 8*t.size)
		}
	}
	if t.name == "" {
		t.name = "unknown"
		if int(t.class) < len(classNames) {
			t.name = classNames[t.class]
		}
	}
	return t, err
}

// float reads the properties of a floating-point type and returns its name: those of
// the same size differ in their exponents.
func (c *cursor) float(size int64) (string, error) {
	b, err := c.bytes(12) // offset, precision, exponent at and size, mantissa at and size, bias
	if err != nil {
		return "", err
	}
	exponent, mantissa := b[5], b[7]
	switch {
	case size == 2 && exponent == 8 && mantissa == 7:
		return "bfloat16", nil
	case size == 1:
		return fmt.Sprintf("float8_e%dm%d", exponent, mantissa), nil
	}
	return fmt.Sprintf("float%d", 8*size), nil
}

// datatype reads the type in a message, which may be one that is shared.
func (f *file) datatype(c *cursor, shared bool) (datatype, error) {
	if !shared {
		return c.datatype()
	}
	at := c.at
	target, err := c.sharedAddress()
	if err != nil {
		return datatype{}, err
	}
	var t datatype
	found := false
	err = f.messages(target, func(m message) error {
		if m.typ != msgDatatype || found {
			return nil
		}
		if m.shared {
			return invalid(at, "shared type leads to a shared type")
		}
		found = true
		t, err = m.body.datatype()
		return err
	})
	if err == nil && !found {
		err = invalid(at, "shared type leads to an object that is no type")
	}
	return t, err
}

// sharedAddress reads where the message is that stands elsewhere (IV.A.2).
func (c *cursor) sharedAddress() (int64, error) {
	at := c.at
	b, err := c.bytes(2)
	if err != nil {
		return 0, err
	}
	version, kind := b[0], b[1]
	switch {
	case version == 1:
		if err := c.skip(6); err != nil {
			return 0, err
		}
	case version == 3 && kind == 1:
		return 0, unsupported(at, "messages that are shared in a heap are not read")
	case version < 1 || version > 3:
		return 0, invalid(at, "shared message of version %d is not known", version)
	}
	target, err := c.address()
	if err == nil && target == undefined {
		err = invalid(at, "shared message without an address")
	}
	return target, err
}

// dataspace reads a shape: nil for a single value. null is true when there are no
// elements at all.
func (c *cursor) dataspace() (shape []uint64, null bool, err error) {
	at := c.at
	b, err := c.bytes(4)
	if err != nil {
		return nil, false, err
	}
	version, rank, kind := b[0], int(b[1]), b[3]
	switch version {
	case 1:
		if err := c.skip(4); err != nil {
			return nil, false, err
		}
	case 2:
		const nullSpace = 2
		null = kind == nullSpace
	default:
		return nil, false, invalid(at, "shape of version %d is not known", version)
	}
	if rank > MaxDims {
		return nil, false, invalid(at, "%d dimensions are more than %d", rank, MaxDims)
	}
	for range rank {
		n, err := c.number(c.f.lengths)
		if err != nil {
			return nil, false, err
		}
		shape = append(shape, n)
	}
	return shape, null, nil
}
