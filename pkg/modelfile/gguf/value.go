package gguf

import (
	"fmt"
	"math"
	"strconv"
)

// ValueType is the type of a value.
type ValueType uint32

// The value types of the format.
const (
	TypeUint8 ValueType = iota
	TypeInt8
	TypeUint16
	TypeInt16
	TypeUint32
	TypeInt32
	TypeFloat32
	TypeBool
	TypeString
	TypeArray
	TypeUint64
	TypeInt64
	TypeFloat64
)

var valueTypes = []struct {
	name string
	size uint64 // 0 for a type of no fixed size
}{
	{"u8", 1},
	{"i8", 1},
	{"u16", 2},
	{"i16", 2},
	{"u32", 4},
	{"i32", 4},
	{"f32", 4},
	{"bool", 1},
	{"string", 0},
	{"array", 0},
	{"u64", 8},
	{"i64", 8},
	{"f64", 8},
}

func (t ValueType) known() bool  { return int64(t) < int64(len(valueTypes)) }
func (t ValueType) size() uint64 { return valueTypes[t].size }

func (t ValueType) String() string {
	if !t.known() {
		return "type " + strconv.FormatUint(uint64(t), 10)
	}
	return valueTypes[t].name
}

// Value is the value of one key.
type Value struct {
	Type ValueType
	// Elem is the type of the items of an array. Len is how many there are, and of
	// a string, its bytes.
	Elem ValueType
	Len  uint64

	bits  uint64   // a number as it is in the file, in the low bytes; the offset of a string
	text  string   // a string
	items []string // the items of one of keptArrays
	kept  bool     // text or items are there
}

// Uint returns an integer that is not negative.
func (v Value) Uint() (uint64, bool) {
	switch v.Type {
	case TypeUint8, TypeUint16, TypeUint32, TypeUint64:
		return v.bits, true
	case TypeInt8, TypeInt16, TypeInt32, TypeInt64:
		n := v.int()
		return uint64(n), n >= 0
	}
	return 0, false
}

func (v Value) int() int64 {
	unused := 64 - 8*v.Type.size()
	return int64(v.bits<<unused) >> unused
}

// Text returns a string as it is in the file, in whatever encoding it is. It
// is not there when it was too long to keep.
func (v Value) Text() (string, bool) { return v.text, v.kept && v.Type == TypeString }

// Place returns where a string is in the file, also when it was too long to keep.
func (v Value) Place() (offset, size int64, ok bool) {
	if v.Type != TypeString {
		return 0, 0, false
	}
	return int64(v.bits), int64(v.Len), true
}

// Items returns the strings of an array that was kept.
func (v Value) Items() ([]string, bool) { return v.items, v.kept && v.Type == TypeArray }

// String is for people: the value, or what kind of array it is.
func (v Value) String() string {
	switch v.Type {
	case TypeString:
		if !v.kept {
			return "(long string)"
		}
		return v.text
	case TypeArray:
		if v.kept {
			return fmt.Sprintf("%q", v.items)
		}
		return fmt.Sprintf("(array of %d %s)", v.Len, v.Elem)
	case TypeBool:
		return strconv.FormatBool(v.bits != 0)
	case TypeFloat32:
		return strconv.FormatFloat(float64(math.Float32frombits(uint32(v.bits))), 'g', -1, 32)
	case TypeFloat64:
		return strconv.FormatFloat(math.Float64frombits(v.bits), 'g', -1, 64)
	case TypeInt8, TypeInt16, TypeInt32, TypeInt64:
		return strconv.FormatInt(v.int(), 10)
	}
	return strconv.FormatUint(v.bits, 10)
}
