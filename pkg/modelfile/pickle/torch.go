package pickle

import (
	"fmt"
	"math/bits"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

// Storage is where tensors of torch have their data.
type Storage struct {
	// Key is the name of the member below data/ in a zip file, or an entry of the
	// list of storages in a legacy file.
	Key string
	// DType is that of its elements as torch spells it: float32, uint8 for those
	// without a type.
	DType    string
	Location string // cpu, cuda:0
	Elements int64
}

// Tensor is a tensor in the object that torch saved.
type Tensor struct {
	// Name is the way to it through keys and indexes: model.layers.0.weight. Text in
	// it comes from the file.
	Name    string
	DType   string
	Shape   []uint64
	Storage Storage
	// Offset is where its data begins in the storage, and Size how many they are
	// when they lie together, in bytes; -1 where that is not known.
	Offset, Size int64
}

const (
	// listBytes bounds the memory that a list of tensors takes, which is enough for
	// 30,000 of them.
	listBytes  = 8 << 20
	tensorCost = 200
	maxRank    = 64
)

// dtypes are the sizes of the types of torch, in bytes.
var dtypes = map[string]int64{
	"float16": 2, "half": 2, "bfloat16": 2, "float32": 4, "float": 4, "float64": 8, "double": 8,
	"int8": 1, "uint8": 1, "int16": 2, "short": 2, "uint16": 2, "int32": 4, "int": 4, "uint32": 4, "int64": 8, "long": 8, "uint64": 8,
	"bool": 1, "complex32": 4, "chalf": 4, "complex64": 8, "cfloat": 8, "complex128": 16, "cdouble": 16,
	"qint8": 1, "quint8": 1, "qint32": 4,
	"float8_e4m3fn": 1, "float8_e5m2": 1, "float8_e4m3fnuz": 1, "float8_e5m2fnuz": 1, "float8_e8m0fnu": 1,
}

// storageTypes are the types of elements by the class of the storage.
var storageTypes = map[string]string{
	"BoolStorage": "bool", "ByteStorage": "uint8", "CharStorage": "int8", "ShortStorage": "int16", "IntStorage": "int32",
	"LongStorage": "int64", "HalfStorage": "float16", "FloatStorage": "float32", "DoubleStorage": "float64",
	"BFloat16Storage": "bfloat16", "ComplexFloatStorage": "complex64", "ComplexDoubleStorage": "complex128",
	"QInt8Storage": "qint8", "QUInt8Storage": "quint8", "QInt32Storage": "qint32",
	"QUInt4x2Storage": "quint4x2", "QUInt2x4Storage": "quint2x4", "UntypedStorage": "uint8", "_UntypedStorage": "uint8",
}

// ItemSize returns how many bytes an element of a type of torch has, 0 when that is
// not known or not a whole number.
func ItemSize(dtype string) int64 { return dtypes[dtype] }

// persistent is what a persistent id stands for: a storage in a file of torch, where
// it is the tuple ("storage", class, key, location, elements), in legacy files with a
// sixth item that names a view. Legacy files also have ("module", class, file, source)
// for a class, of which torch compares the source and warns (torch/serialization.py,
// version 2.9).
func (m *machine) persistent(id value) value {
	if m.options.Torch {
		o := m.heap.object(id)
		if id.kind() == isTuple && (o == nil || o.cut) {
			m.limit(m.at, "a storage is named by a tuple that is not known")
			return makeValue(isUnknown, 0)
		}
		if id.kind() == isTuple && isStorageID(&m.heap, o) {
			v := makeValue(isStorage, id.id())
			m.stored(Value{&m.heap, v})
			return v
		}
		if id.kind() == isTuple && isModuleID(&m.heap, o) {
			return o.items[1] // a global, which was judged where it was named
		}
	}
	m.find(hazard.Of("pickle-persistent-id", kinds[id.kind()].words, "a persistent id stands for something that only the loading program knows").At(m.at))
	return makeValue(isUnknown, 0)
}

func isStorageID(h *heap, o *object) bool {
	if len(o.items) != 5 && len(o.items) != 6 {
		return false
	}
	kind, ok := h.text(o.items[0])
	class, isClass := h.global(o.items[1])
	_, hasKey := h.text(o.items[2])
	return ok && kind == "storage" && isClass && class.verdict == hazard.Clean && storageTypes[class.Name] != "" &&
		hasKey && o.items[3].kind() == isText && o.items[4].kind() == isInt && o.items[4].integer() >= 0
}

func isModuleID(h *heap, o *object) bool {
	if len(o.items) != 4 || o.items[1].kind() != isGlobal {
		return false
	}
	kind, ok := h.text(o.items[0])
	return ok && kind == "module"
}

// stored compares a storage with the bytes that there are of it: torch makes it as large
// as the pickle says (get_storage_from_record of torch/csrc/jit/python/init.cpp).
func (m *machine) stored(v Value) {
	s, ok := v.storage()
	if !ok || m.options.Storage == nil || m.nesting > 0 {
		return
	}
	have, ok := m.options.Storage(s.Key)
	hi, need := bits.Mul64(uint64(s.Elements), uint64(max(ItemSize(s.DType), 1)))
	if !ok || hi == 0 && need <= uint64(max(have, 0)) {
		return
	}
	f := hazard.Of("pickle-odd-argument", s.Key, fmt.Sprintf("storage %.40q is said to have %d elements of type %s, and has %d bytes: the others are not its own", s.Key, s.Elements, s.DType, have))
	f.Severity = hazard.High
	m.find(f.At(m.at))
}

// storage returns the one that v names.
func (v Value) storage() (Storage, bool) {
	items, _ := v.Items()
	if v.Kind() != StorageRef || len(items) < 5 {
		return Storage{}, false
	}
	class, _ := items[1].Global()
	key, _ := items[2].Text()
	location, _ := items[3].Text()
	n, _ := items[4].Int()
	return Storage{Key: key, DType: storageTypes[class.Name], Location: location, Elements: n}, true
}

// Tensors returns the tensors in an object that torch saved, in its order, and
// whether those are all.
func Tensors(root Value) (tensors []Tensor, whole bool) {
	room := listBytes
	whole = Walk(root, func(name string, v Value) Step {
		t, is := v.tensor()
		if !is {
			return Into
		}
		if room -= tensorCost + len(name) + 8*len(t.Shape); room < 0 {
			return End
		}
		t.Name = name
		tensors = append(tensors, t)
		return Over
	})
	return tensors, whole
}

// tensor returns the one that a call makes.
func (v Value) tensor() (Tensor, bool) {
	fn, ok := v.Global()
	if !ok || v.Kind() != Call || fn.Module != "torch._utils" {
		return Tensor{}, false
	}
	args, _ := v.Items()
	switch fn.Name {
	case "_rebuild_parameter", "_rebuild_parameter_with_state":
		if len(args) > 0 {
			return args[0].tensor()
		}
	case "_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_qtensor":
		if len(args) >= 4 {
			return makeTensor(fn.Name, args)
		}
	}
	return Tensor{}, false
}

// makeTensor reads the arguments storage, offset, shape, strides, …
func makeTensor(fn string, args []Value) (Tensor, bool) {
	s, ok := args[0].storage()
	if !ok {
		return Tensor{}, false
	}
	t := Tensor{DType: s.DType, Storage: s, Offset: -1, Size: -1}
	if fn == "_rebuild_tensor_v3" && len(args) >= 7 {
		if dtype, ok := args[6].Global(); ok && dtype.Module == "torch" {
			t.DType = dtype.Name
		}
	}
	dims, whole := args[2].Items()
	if !whole || len(dims) > maxRank {
		return Tensor{}, false
	}
	elements := uint64(1)
	for _, dim := range dims {
		n, ok := dim.Int()
		if !ok || n < 0 {
			return Tensor{}, false
		}
		t.Shape = append(t.Shape, uint64(n))
		hi, lo := bits.Mul64(elements, uint64(n))
		if hi != 0 || lo > 1<<60 {
			return t, true
		}
		elements = lo
	}
	size := uint64(ItemSize(t.DType))
	if hi, lo := bits.Mul64(elements, size); size > 0 && hi == 0 && lo < 1<<62 {
		t.Size = int64(lo)
	}
	if at, ok := args[1].Int(); ok && at >= 0 && size > 0 && at < 1<<56/int64(size) {
		t.Offset = at * int64(size)
	}
	return t, true
}

// Storages returns the storages in an object, each once: those of its tensors, and
// those that stand alone, as the one in each of the files that pickle.dump makes of
// tensors.
func Storages(root Value) (storages []Storage, whole bool) {
	room, seen := listBytes, map[string]bool{}
	whole = Walk(root, func(_ string, v Value) Step {
		s, is := v.storage()
		if !is || seen[s.Key] {
			return Into
		}
		if room -= tensorCost + len(s.Key); room < 0 {
			return End
		}
		seen[s.Key] = true
		storages = append(storages, s)
		return Over
	})
	return storages, whole
}
