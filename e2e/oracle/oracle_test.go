// Package oracle compares the readers of model files with those that others wrote:
// what one of them writes, ours reads, and what both read means the same. They are
// here, and not beside the readers, so that the module of modseal does not need
// them.
package oracle_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	parser "github.com/gpustack/gguf-parser-go"
	other "github.com/nlpodyssey/safetensors"

	"github.com/modseal/modseal/pkg/modelfile/gguf"
	"github.com/modseal/modseal/pkg/modelfile/safetensors"
)

// dtypes are the types that the other reader of safetensors knows.
var dtypes = []other.DType{
	other.BOOL, other.U8, other.I8, other.I16, other.U16, other.F16, other.BF16, other.I32, other.U32, other.F32, other.F64, other.I64, other.U64,
}

func randomShape(r *rand.Rand) ([]uint64, uint64) {
	// Of rank 0 the other makes a tensor without elements.
	shape, n := make([]uint64, 1+r.IntN(3)), uint64(1)
	for i := range shape {
		shape[i] = r.Uint64N(5)
		n *= shape[i]
	}
	return shape, n
}

// Files that nlpodyssey/safetensors writes are read as they were meant: names,
// types, shapes, and at the place that is told, the very bytes.
func TestSafetensorsOfAnotherWriter(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		views := map[string]other.TensorView{}
		for i := range r.IntN(30) {
			dtype := dtypes[r.IntN(len(dtypes))]
			shape, n := randomShape(r)
			data := make([]byte, n*dtype.Size())
			for j := range data {
				data[j] = byte(r.Uint32())
			}
			view, err := other.NewTensorView(dtype, shape, data)
			if err != nil {
				t.Fatal(err)
			}
			views[fmt.Sprintf("layer.%d.\"é😀\\%d", i, r.IntN(9))] = view
		}
		metadata := map[string]string{"format": "pt", "x\n": "\u2028\x00"}
		b, err := other.Serialize(views, metadata)
		if err != nil {
			t.Fatal(err)
		}
		h, err := safetensors.Read(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if d := cmp.Diff(metadata, h.Metadata); d != "" {
			t.Error(d)
		}
		if len(h.Tensors) != len(views) {
			t.Fatalf("seed %d: %d tensors, %d were written", seed, len(h.Tensors), len(views))
		}
		for _, x := range h.Tensors {
			v, ok := views[x.Name]
			if !ok || string(x.DType) != v.DType().String() || !slices.Equal(x.Shape, v.Shape()) || !bytes.Equal(b[x.At:][:x.End-x.Begin], v.Data()) {
				t.Errorf("seed %d: %+v", seed, x)
			}
		}
	}
}

// A header that was changed in one place and that ours takes, the other takes too,
// and sees the same tensors in it. The reverse is not so: ours refuses more.
func TestSafetensorsThatOursTakes(t *testing.T) {
	const header = `{"__metadata__":{"format":"pt"},"a":{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]},"b":{"dtype":"I64","shape":[],"data_offsets":[12,20]},"c":{"dtype":"U8","shape":[0,7],"data_offsets":[20,20]}}`
	r := rand.New(rand.NewPCG(1, 2))
	const alphabet = "{}[]\",:0123456789abcF16U\\ \n-.eE"
	taken := 0
	for range 200_000 {
		b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
		b = append(b, header...)
		for range 1 + r.IntN(3) {
			b[8+r.IntN(len(header))] = alphabet[r.IntN(len(alphabet))]
		}
		b = append(b, make([]byte, 20)...)
		h, err := safetensors.Read(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			continue
		}
		taken++
		st, err := other.Deserialize(b)
		if err != nil {
			t.Fatalf("the other reader: %v\n%s", err, b[8:])
		}
		if len(h.Tensors) != st.Len() {
			t.Fatalf("%d tensors, the other reader sees %d\n%s", len(h.Tensors), st.Len(), b[8:])
		}
		for _, x := range h.Tensors {
			v, ok := st.Tensor(x.Name)
			if !ok || v.DType().String() != string(x.DType) || !slices.Equal(v.Shape(), x.Shape) || v.DataLen() != x.End-x.Begin {
				t.Fatalf("%+v\n%s", x, b[8:])
			}
		}
	}
	if taken < 100 {
		t.Errorf("only %d headers were taken: nothing was compared", taken)
	}
}

// The sizes of all types of tensors are those of gguf-parser-go, which has them from
// ggml.c. Types that it does not know, ours does not know either.
func TestGGUFTypes(t *testing.T) {
	known := 0
	for n := range uint32(64) {
		trait, ok := parser.GGMLType(n).Trait()
		ours := gguf.Type(n)
		if !ours.Known() {
			if ok && trait.TypeSize > 0 && !retired[ours] {
				t.Errorf("type %d (%s) is not known", n, parser.GGMLType(n))
			}
			continue
		}
		known++
		if got := parser.GGMLType(n).String(); !ok || got != ours.String() {
			t.Errorf("type %d is %s, here %s", n, got, ours)
			continue
		}
		b := ggufFile(nil, []ggufTensor{{"x", n, []uint64{trait.BlockSize * 2, 3}}}, func(uint32, []uint64) uint64 { return 6 * trait.TypeSize })
		h, err := gguf.Read(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Errorf("type %s: %v", ours, err)
			continue
		}
		if h.Tensors[0].Size != 6*trait.TypeSize {
			t.Errorf("type %s: %d bytes, by the other's table %d", ours, h.Tensors[0].Size, 6*trait.TypeSize)
		}
	}
	if known < 30 {
		t.Errorf("only %d types were compared", known)
	}
}

// retired are types that ggml took back before files with them were common.
var retired = map[gguf.Type]bool{4: true, 5: true, 31: true, 32: true, 33: true, 36: true, 37: true, 38: true}

type ggufTensor struct {
	name string
	typ  uint32
	dims []uint64
}

// ggufFile writes a file of strings and tensors.
func ggufFile(keys [][2]string, tensors []ggufTensor, size func(typ uint32, dims []uint64) uint64) []byte {
	le := binary.LittleEndian
	str := func(b []byte, s string) []byte { return append(le.AppendUint64(b, uint64(len(s))), s...) }
	b := append([]byte("GGUF"), 3, 0, 0, 0)
	b = le.AppendUint64(le.AppendUint64(b, uint64(len(tensors))), uint64(len(keys)))
	for _, k := range keys {
		b = str(le.AppendUint32(str(b, k[0]), 8), k[1])
	}
	var offset uint64
	for _, x := range tensors {
		b = le.AppendUint32(str(b, x.name), uint32(len(x.dims)))
		for _, d := range x.dims {
			b = le.AppendUint64(b, d)
		}
		b = le.AppendUint64(le.AppendUint32(b, x.typ), offset)
		offset += (size(x.typ, x.dims) + 31) / 32 * 32
	}
	b = append(b, make([]byte, (32-len(b)%32)%32)...)
	return append(b, make([]byte, offset)...)
}

// What gguf-parser-go reads in a file, ours reads in it too.
func TestGGUFOfAnotherReader(t *testing.T) {
	types := []uint32{0, 1, 2, 8, 12, 14, 24, 28, 30}
	size := func(typ uint32, dims []uint64) uint64 {
		trait, _ := parser.GGMLType(typ).Trait()
		n := uint64(1)
		for _, d := range dims {
			n *= d
		}
		return n / trait.BlockSize * trait.TypeSize
	}
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 3))
		keys := [][2]string{
			{"general.architecture", "llama"},
			{"general.name", strings.Repeat("é", r.IntN(100))},
			{"tokenizer.chat_template", "{{ messages }}"},
		}
		var tensors []ggufTensor
		for i := range 1 + r.IntN(40) {
			x := ggufTensor{name: fmt.Sprintf("blk.%d.weight", i), typ: types[r.IntN(len(types))], dims: []uint64{256 * (1 + r.Uint64N(3))}}
			for range r.IntN(4) {
				x.dims = append(x.dims, 1+r.Uint64N(3))
			}
			tensors = append(tensors, x)
		}
		b := ggufFile(keys, tensors, size)
		file := filepath.Join(t.TempDir(), "m.gguf")
		if err := os.WriteFile(file, b, 0o644); err != nil {
			t.Fatal(err)
		}
		theirs, err := parser.ParseGGUFFile(file)
		if err != nil {
			t.Fatalf("seed %d: the other reader: %v", seed, err)
		}
		ours, err := gguf.Read(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		compareGGUF(t, theirs, ours)
	}
}

func compareGGUF(t *testing.T, theirs *parser.GGUFFile, ours *gguf.Header) {
	t.Helper()
	if len(theirs.TensorInfos) != len(ours.Tensors) || len(theirs.Header.MetadataKV) != len(ours.KV) {
		t.Fatalf("%d tensors and %d keys, the other reader sees %d and %d", len(ours.Tensors), len(ours.KV), len(theirs.TensorInfos), len(theirs.Header.MetadataKV))
	}
	for i, x := range theirs.TensorInfos {
		o := ours.Tensors[i]
		if x.Name != o.Name || uint32(x.Type) != uint32(o.Type) || !slices.Equal(x.Dimensions, o.Shape) || x.Offset != o.Offset || x.Elements() != o.Elements() || x.Bytes() != o.Size {
			t.Errorf("%+v, the other reader sees %+v", o, x)
		}
		if o.At != theirs.TensorDataStartOffset+int64(x.Offset) {
			// gguf-parser-go adds a whole block of padding where none is needed.
			if theirs.TensorDataStartOffset-ours.DataStart != 32 || ours.HeaderSize%32 != 0 {
				t.Errorf("data starts at %d, the other reader says %d", ours.DataStart, theirs.TensorDataStartOffset)
			}
		}
	}
	for _, kv := range theirs.Header.MetadataKV {
		if got, ok := ours.String(kv.Key); !ok || got != kv.ValueString() {
			t.Errorf("%s is %q, the other reader says %q", kv.Key, got, kv.ValueString())
		}
	}
}

// What breaks the other reader, or is taken by it, is refused here.
func TestGGUFThatOursRefuses(t *testing.T) {
	le := binary.LittleEndian
	good := ggufFile([][2]string{{"k", "v"}}, []ggufTensor{{"a", 0, []uint64{8}}, {"b", 0, []uint64{8}}}, func(uint32, []uint64) uint64 { return 32 })
	change := func(at int, n uint64) []byte {
		b := slices.Clone(good)
		le.PutUint64(b[at:], n)
		return b
	}
	tensorA := 24 + 8 + 1 + 4 + 8 + 1
	for name, b := range map[string][]byte{
		"2^60 tensors":           change(8, 1<<60),
		"2^60 keys":              change(16, 1<<60),
		"a key of 2^60 bytes":    change(24, 1<<60),
		"a dimension of 2^63":    change(tensorA+8+1+4, 1<<63),
		"an offset of 2^63":      change(tensorA+8+1+4+8+4, 1<<63),
		"an offset off the grid": change(tensorA+8+1+4+8+4, 1),
		"data that is cut off":   good[:len(good)-33],
		"a name of 2^64-1 bytes": change(tensorA, math.MaxUint64),
	} {
		if _, err := gguf.Read(bytes.NewReader(b), int64(len(b))); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if _, err := gguf.Read(bytes.NewReader(good), int64(len(good))); err != nil {
		t.Error(err)
	}
}
