package gguf

import (
	"math"
	"math/bits"
	"strconv"
)

// Type is the type of a tensor (ggml_type).
type Type uint32

// The types that hold one element each, not blocks of quantised ones.
const (
	F32  Type = 0
	F16  Type = 1
	I8   Type = 24
	I16  Type = 25
	I32  Type = 26
	I64  Type = 27
	F64  Type = 28
	BF16 Type = 30
)

// types holds how many elements a block has and how many bytes (ggml.c,
// type_traits).
var types = map[Type]struct {
	name         string
	block, bytes uint64
}{
	F32:  {"F32", 1, 4},
	F16:  {"F16", 1, 2},
	2:    {"Q4_0", 32, 18},
	3:    {"Q4_1", 32, 20},
	6:    {"Q5_0", 32, 22},
	7:    {"Q5_1", 32, 24},
	8:    {"Q8_0", 32, 34},
	9:    {"Q8_1", 32, 36},
	10:   {"Q2_K", 256, 84},
	11:   {"Q3_K", 256, 110},
	12:   {"Q4_K", 256, 144},
	13:   {"Q5_K", 256, 176},
	14:   {"Q6_K", 256, 210},
	15:   {"Q8_K", 256, 292},
	16:   {"IQ2_XXS", 256, 66},
	17:   {"IQ2_XS", 256, 74},
	18:   {"IQ3_XXS", 256, 98},
	19:   {"IQ1_S", 256, 50},
	20:   {"IQ4_NL", 32, 18},
	21:   {"IQ3_S", 256, 110},
	22:   {"IQ2_S", 256, 82},
	23:   {"IQ4_XS", 256, 136},
	I8:   {"I8", 1, 1},
	I16:  {"I16", 1, 2},
	I32:  {"I32", 1, 4},
	I64:  {"I64", 1, 8},
	F64:  {"F64", 1, 8},
	29:   {"IQ1_M", 256, 56},
	BF16: {"BF16", 1, 2},
	34:   {"TQ1_0", 256, 54},
	35:   {"TQ2_0", 256, 66},
	39:   {"MXFP4", 32, 17},
	40:   {"NVFP4", 64, 36},
	41:   {"Q1_0", 128, 18},
	42:   {"Q2_0", 64, 18},
}

func (t Type) String() string {
	if x, ok := types[t]; ok {
		return x.name
	}
	return "type " + strconv.FormatUint(uint64(t), 10)
}

// Known reports whether the size of a tensor of type t is known.
func (t Type) Known() bool { _, ok := types[t]; return ok }

// PrecisionName returns the name that a ModelPack config has for t, "" when it
// has none, as for all quantised types.
func PrecisionName(t Type) string {
	switch t {
	case F32:
		return "float32"
	case F16:
		return "float16"
	case BF16:
		return "bfloat16"
	case F64:
		return "float64"
	case I8:
		return "int8"
	case I16:
		return "int16"
	case I32:
		return "int32"
	case I64:
		return "int64"
	}
	return ""
}

// fileTypes are the values of general.file_type (llama_ftype in llama.h).
var fileTypes = map[uint32]string{
	0: "f32", 1: "f16", 2: "q4_0", 3: "q4_1", 7: "q8_0", 8: "q5_0", 9: "q5_1", 10: "q2_k",
	11: "q3_k_s", 12: "q3_k_m", 13: "q3_k_l", 14: "q4_k_s", 15: "q4_k_m", 16: "q5_k_s", 17: "q5_k_m", 18: "q6_k",
	19: "iq2_xxs", 20: "iq2_xs", 21: "q2_k_s", 22: "iq3_xs", 23: "iq3_xxs", 24: "iq1_s", 25: "iq4_nl",
	26: "iq3_s", 27: "iq3_m", 28: "iq2_s", 29: "iq2_m", 30: "iq4_xs", 31: "iq1_m", 32: "bf16",
	36: "tq1_0", 37: "tq2_0", 38: "mxfp4", 39: "nvfp4", 40: "q1_0",
}

// guessedFileType is added by a loader that derived the file type from the
// tensors (LLAMA_FTYPE_GUESSED).
const guessedFileType = 1024

// FileTypeName returns the name of a general.file_type in lower case, "" for
// one that is not known.
func FileTypeName(ft uint32) string { return fileTypes[ft&^guessedFileType] }

// Tensor is one entry of the tensor table. Offset counts from
// Header.DataStart; Size is 0 when the type is not known.
type Tensor struct {
	Name   string
	Type   Type
	Shape  []uint64 // the first dimension varies fastest
	Offset uint64
	Size   uint64
	At     int64 // where the data begins in the file
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

// measure computes the size of t and checks that its shape makes sense.
func (t *Tensor) measure(name []byte, at int64) error {
	elements, overflow := uint64(1), false
	for _, dim := range t.Shape {
		hi, lo := bits.Mul64(elements, dim)
		elements = lo
		// Dimensions are signed in ggml.
		overflow = overflow || hi != 0 || lo > math.MaxInt64 || dim > math.MaxInt64
	}
	if overflow {
		return invalid(at, "tensor %q: shape overflows", name)
	}
	x, ok := types[t.Type]
	if !ok {
		return nil
	}
	row := uint64(1)
	if len(t.Shape) > 0 {
		row = t.Shape[0]
	}
	if row%x.block != 0 {
		return invalid(at, "tensor %q: rows of %d elements are not whole blocks of %d (%s)", name, row, x.block, t.Type)
	}
	hi, size := bits.Mul64(elements/x.block, x.bytes)
	if hi != 0 || size > math.MaxInt64 {
		return invalid(at, "tensor %q: size overflows", name)
	}
	t.Size = size
	return nil
}
