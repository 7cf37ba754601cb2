package pickle

import "strings"

// check is what the arguments of a clean global must be for its call to be clean.
type check uint8

const (
	anyArguments check = iota
	// isFactory: its first argument is None or a global, which was judged where it
	// was named (collections.defaultdict).
	isFactory
	// firstIsGlobal: that is a class by name.
	firstIsGlobal
	// isReconstructor: it makes an object of its first argument, by way of its
	// second, and both are classes by name (copyreg._reconstructor).
	isReconstructor
	// isCodec: its second argument names a codec of text (_codecs.encode).
	isCodec
	// isStateful: its fourth argument is a state, as BUILD takes one
	// (_rebuild_parameter_with_state).
	isStateful
	// isInnerCall: it calls its first argument with its third, and has a state as its
	// fourth (_rebuild_from_type_v2).
	isInnerCall
	// isLoad: its argument was looked at as a pickle (torch.storage._load_from_bytes).
	isLoad
	// isIdentity: it returns its first argument (torch.jit._pickle.build_intlist).
	isIdentity
	// isScalar: it returns its second argument where that is no bytes, which it takes for
	// the type of objects only (scalar of numpy.core.multiarray).
	isScalar
	// isDType: it takes the name of a type, or a class, and makes a new one. One that it
	// is given it may return, to be changed under another name (numpy.dtype).
	isDType
	// isNotCalled: it is named and not called. NumPy writes arrays and scalars as calls of
	// functions; its classes return what is in their argument (numpy.object_) or an array
	// of memory that is that of another object, which may be gone by then (numpy.ndarray).
	isNotCalled
	// isBuffer: its first argument is bytes, of which it makes an array. Of another array
	// it would be of the same memory (_frombuffer).
	isBuffer
	// isTextOf: its second argument names a codec, if there is one (builtins.str).
	isTextOf
	// isQuantized: its arguments say where a tensor lies in a storage, and stay within
	// that (_rebuild_qtensor).
	isQuantized
	// isSparse: it makes a tensor of indices that nobody looks at
	// (_rebuild_sparse_tensor).
	isSparse
	// isJoblib: it may be named in joblib's files only (NumpyArrayWrapper).
	isJoblib
)

// cleanNames are the globals that a model may name without being asked about. The
// names of torch are those of its own safe list (torch/_weights_only_unpickler.py,
// version 2.9).
var cleanNames = cleanIndex(map[string]string{
	"collections": "OrderedDict Counter",
	"builtins":    "bytearray bytes complex dict float frozenset int list object range set slice str tuple bool",
	"__builtin__": "bytearray bytes complex dict float frozenset int list object range set slice str tuple bool long unicode xrange",
	"torch": `Size Tensor device dtype
		float16 float32 float64 bfloat16 half float double int8 int16 int32 int64 short int long uint8 uint16 uint32 uint64
		bool complex32 complex64 complex128 chalf cfloat cdouble qint8 quint8 qint32 quint4x2 quint2x4
		float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu float4_e2m1fn_x2
		per_tensor_affine per_tensor_symmetric per_channel_affine per_channel_symmetric per_channel_affine_float_qparams
		BoolStorage ByteStorage CharStorage ShortStorage IntStorage LongStorage HalfStorage FloatStorage DoubleStorage
		BFloat16Storage ComplexFloatStorage ComplexDoubleStorage QInt8Storage QUInt8Storage QInt32Storage
		QUInt4x2Storage QUInt2x4Storage
		BoolTensor ByteTensor CharTensor ShortTensor IntTensor LongTensor HalfTensor FloatTensor DoubleTensor BFloat16Tensor`,
	"torch._utils": `_rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_parameter
		_rebuild_meta_tensor_no_storage
		_rebuild_device_tensor_from_numpy _rebuild_device_tensor_from_cpu_tensor`,
	"torch.storage":       "TypedStorage UntypedStorage _TypedStorage _UntypedStorage",
	"torch.nn.parameter":  "Parameter Buffer",
	"torch.serialization": "_get_layout",
	"numpy": `ndarray bool_ bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 byte ubyte short ushort intc uintc
		int_ uint longlong ulonglong float16 float32 float64 half single double longdouble float128 float96
		complex64 complex128 csingle cdouble clongdouble complex256 str_ bytes_ unicode_ string_ void datetime64 timedelta64
		generic number integer signedinteger unsignedinteger inexact floating complexfloating flexible character`,
})

// checkedNames are clean when their arguments are.
var checkedNames = map[Global]check{
	{"collections", "defaultdict"}:            isFactory,
	{"_codecs", "encode"}:                     isCodec,
	{"copyreg", "_reconstructor"}:             isReconstructor,
	{"copy_reg", "_reconstructor"}:            isReconstructor,
	{"numpy.core.multiarray", "_reconstruct"}: firstIsGlobal, {"numpy._core.multiarray", "_reconstruct"}: firstIsGlobal,
	{"numpy.core.multiarray", "scalar"}: isScalar, {"numpy._core.multiarray", "scalar"}: isScalar,
	{"numpy.core.numeric", "_frombuffer"}: isBuffer, {"numpy._core.numeric", "_frombuffer"}: isBuffer,
	{"builtins", "str"}: isTextOf, {"builtins", "bytes"}: isTextOf, {"builtins", "bytearray"}: isTextOf,
	{"__builtin__", "str"}: isTextOf, {"__builtin__", "bytes"}: isTextOf, {"__builtin__", "bytearray"}: isTextOf, {"__builtin__", "unicode"}: isTextOf,
	{"torch._utils", "_rebuild_qtensor"}: isQuantized, {"torch._utils", "_rebuild_sparse_tensor"}: isSparse,
	{"numpy", "dtype"}: isDType, {"numpy", "object_"}: isNotCalled,
	{"torch._utils", "_rebuild_parameter_with_state"}: isStateful,
	{"torch._utils", "_rebuild_wrapper_subclass"}:     firstIsGlobal,
	{"torch._tensor", "_rebuild_from_type_v2"}:        isInnerCall,
	{"torch.storage", "_load_from_bytes"}:             isLoad,
	{"joblib.numpy_pickle", "NumpyArrayWrapper"}:      isJoblib,
}

// scriptNames are clean in archives of torch: TorchScript marks the types of lists with
// calls of these, which return their argument (torch/jit/_pickle.py, version 2.9).
var scriptNames = cleanIndex(map[string]string{
	"torch.jit._pickle": "build_intlist build_tensorlist build_doublelist build_boollist build_tensor_from_id restore_type_tag",
})

func cleanIndex(modules map[string]string) map[Global]bool {
	out := map[Global]bool{}
	for module, names := range modules {
		for name := range strings.FieldsSeq(names) {
			out[Global{module, name}] = true
		}
	}
	return out
}

// codecs are those of text that are loaded by no module that a pickle could choose.
var codecs = words("latin1 latin-1 iso-8859-1 ascii us-ascii utf-8 utf8 utf_8")

// latin1Codecs are those that make a byte of each character, or nothing at all.
var latin1Codecs = words("latin1 latin-1 iso-8859-1 ascii us-ascii")
