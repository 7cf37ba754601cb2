package onnx

// DataType is the element type of a tensor (TensorProto.DataType).
type DataType uint8

// String is a type that is no number.
const String DataType = 8

const (
	typeFloat    DataType = 1
	typeUint8    DataType = 2
	typeInt8     DataType = 3
	typeFloat16  DataType = 10
	typeDouble   DataType = 11
	typeBfloat16 DataType = 16
)

// dataTypes holds the name in onnx.proto and in a ModelPack config, and the bits of
// an element in raw_data.
var dataTypes = []struct {
	name, precision string
	bits            uint64
}{
	{"UNDEFINED", "", 0},
	{"FLOAT", "float32", 32},
	{"UINT8", "uint8", 8},
	{"INT8", "int8", 8},
	{"UINT16", "uint16", 16},
	{"INT16", "int16", 16},
	{"INT32", "int32", 32},
	{"INT64", "int64", 64},
	{"STRING", "", 0},
	{"BOOL", "bool", 8},
	{"FLOAT16", "float16", 16},
	{"DOUBLE", "float64", 64},
	{"UINT32", "uint32", 32},
	{"UINT64", "uint64", 64},
	{"COMPLEX64", "complex64", 64},
	{"COMPLEX128", "complex128", 128},
	{"BFLOAT16", "bfloat16", 16},
	{"FLOAT8E4M3FN", "float8_e4m3", 8},
	{"FLOAT8E4M3FNUZ", "", 8},
	{"FLOAT8E5M2", "float8_e5m2", 8},
	{"FLOAT8E5M2FNUZ", "", 8},
	{"UINT4", "", 4},
	{"INT4", "", 4},
	{"FLOAT4E2M1", "", 4},
	{"FLOAT8E8M0", "", 8},
	{"UINT2", "", 2},
	{"INT2", "", 2},
}

func (d DataType) String() string {
	if int(d) >= len(dataTypes) {
		d = 0
	}
	return dataTypes[d].name
}

// PrecisionName returns the name that a ModelPack config has for d, "" when it
// has none.
func PrecisionName(d DataType) string {
	if int(d) >= len(dataTypes) {
		return ""
	}
	return dataTypes[d].precision
}

// holdsWeights tells weights in nodes from shapes, axes and indices, which are whole
// numbers of 16 bits and more.
func (d DataType) holdsWeights() bool {
	switch d {
	case typeFloat, typeUint8, typeInt8, typeFloat16, typeDouble, typeBfloat16:
		return true
	}
	return d > typeBfloat16 // the types of eight bits and fewer, which came later
}
