package gguf_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/modseal/modseal/pkg/modelfile/gguf"
)

// writer builds a file field by field.
type writer struct {
	bytes.Buffer
	order binary.AppendByteOrder
	v1    bool
}

func (w *writer) u32(n uint32) *writer { w.Write(w.order.AppendUint32(nil, n)); return w }
func (w *writer) u64(n uint64) *writer { w.Write(w.order.AppendUint64(nil, n)); return w }

func (w *writer) count(n uint64) *writer {
	if w.v1 {
		return w.u32(uint32(n))
	}
	return w.u64(n)
}

func (w *writer) str(s string) *writer { w.count(uint64(len(s))).WriteString(s); return w }
func (w *writer) raw(b ...byte) *writer {
	w.Write(b)
	return w
}

func (w *writer) key(k string, t gguf.ValueType) *writer { return w.str(k).u32(uint32(t)) }

func (w *writer) array(k string, elem gguf.ValueType, n uint64) *writer {
	return w.key(k, gguf.TypeArray).u32(uint32(elem)).count(n)
}

func (w *writer) tensor(name string, t gguf.Type, offset uint64, dims ...uint64) *writer {
	w.str(name).u32(uint32(len(dims)))
	for _, d := range dims {
		w.u64(d)
	}
	return w.u32(uint32(t)).u64(offset)
}

// data pads to the alignment and appends n bytes.
func (w *writer) data(align, n int) *writer {
	w.Write(make([]byte, (align-w.Len()%align)%align+n))
	return w
}

func begin(order binary.AppendByteOrder, version uint32, tensors, keys uint64) *writer {
	w := &writer{order: order, v1: version == 1}
	w.WriteString("GGUF")
	return w.u32(version).count(tensors).count(keys)
}

func v3(tensors, keys uint64) *writer { return begin(binary.LittleEndian, 3, tensors, keys) }

func read(b []byte) (*gguf.Header, error) {
	return gguf.Read(bytes.NewReader(b), int64(len(b)))
}

// model has a key of every type and two tensors.
func model(order binary.AppendByteOrder, version uint32) []byte {
	w := begin(order, version, 2, 17)
	w.key("general.architecture", gguf.TypeString).str("llama")
	w.key("u8", gguf.TypeUint8).raw(200)
	w.key("i8", gguf.TypeInt8).raw(0xff)
	w.key("u16", gguf.TypeUint16).Write(order.AppendUint16(nil, 60_000))
	w.key("i16", gguf.TypeInt16).Write(order.AppendUint16(nil, 0xfffe))
	w.key("u32", gguf.TypeUint32).u32(4_000_000_000)
	w.key("i32", gguf.TypeInt32).u32(7)
	w.key("f32", gguf.TypeFloat32).u32(math.Float32bits(0.1))
	w.key("yes", gguf.TypeBool).raw(1)
	w.key("u64", gguf.TypeUint64).u64(math.MaxUint64)
	w.key("i64", gguf.TypeInt64).u64(math.MaxUint64)
	w.key("f64", gguf.TypeFloat64).u64(math.Float64bits(1.5))
	w.array("tokens", gguf.TypeString, 2).str("a").str("b")
	w.array("general.tags", gguf.TypeString, 2).str("x").str("y")
	w.array("flags", gguf.TypeBool, 2).raw(0, 1)
	w.array("nested", gguf.TypeArray, 1).u32(uint32(gguf.TypeUint32)).count(2).u32(1).u32(2)
	w.key("general.alignment", gguf.TypeUint32).u32(64)
	w.tensor("norm", gguf.F32, 0, 3)
	w.tensor("blk.0.weight", 12, 64, 256, 2)
	w.data(64, 64+2*144)
	return w.Bytes()
}

func TestRead(t *testing.T) {
	for _, tt := range []struct {
		name    string
		order   binary.AppendByteOrder
		version uint32
	}{{"v3", binary.LittleEndian, 3}, {"v2", binary.LittleEndian, 2}, {"v3 big-endian", binary.BigEndian, 3}} {
		t.Run(tt.name, func(t *testing.T) {
			h, err := read(model(tt.order, tt.version))
			if err != nil {
				t.Fatal(err)
			}
			if h.Version != tt.version || h.BigEndian != (tt.order == binary.BigEndian) || h.Alignment != 64 {
				t.Errorf("version %d, big-endian %v, alignment %d", h.Version, h.BigEndian, h.Alignment)
			}
			want := []gguf.Tensor{
				{Name: "norm", Type: gguf.F32, Shape: []uint64{3}, Size: 12},
				{Name: "blk.0.weight", Type: 12, Shape: []uint64{256, 2}, Offset: 64, Size: 288},
			}
			for i := range want {
				want[i].At = h.DataStart + int64(want[i].Offset)
			}
			if d := cmp.Diff(want, h.Tensors); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff([]string{"1 arrays inside arrays, which llama.cpp refuses"}, h.Findings); d != "" {
				t.Error(d)
			}
			checkValues(t, h)
		})
	}
}

func checkValues(t *testing.T, h *gguf.Header) {
	t.Helper()
	got := map[string]string{}
	for k, v := range h.KV {
		got[k] = v.String()
	}
	want := map[string]string{
		"general.architecture": "llama", "u8": "200", "i8": "-1", "u16": "60000", "i16": "-2", "u32": "4000000000", "i32": "7",
		"f32": "0.1", "yes": "true", "u64": "18446744073709551615", "i64": "-1", "f64": "1.5", "tokens": "(array of 2 string)",
		"general.tags": `["x" "y"]`, "flags": "(array of 2 bool)", "nested": "(array of 1 array)", "general.alignment": "64",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if s, ok := h.String("general.architecture"); s != "llama" || !ok {
		t.Errorf("String: %q, %v", s, ok)
	}
	if n, ok := h.Uint("u64"); n != math.MaxUint64 || !ok {
		t.Errorf("Uint(u64): %d, %v", n, ok)
	}
	if n, ok := h.Uint("i32"); n != 7 || !ok {
		t.Errorf("Uint(i32): %d, %v", n, ok)
	}
	for _, key := range []string{"i64", "f32", "yes", "tokens", "absent"} {
		if n, ok := h.Uint(key); ok {
			t.Errorf("Uint(%s) = %d", key, n)
		}
	}
	if s, ok := h.Strings("general.tags"); !ok || !slices.Equal(s, []string{"x", "y"}) {
		t.Errorf("Strings: %q, %v", s, ok)
	}
	if s, ok := h.Strings("general.architecture"); !ok || !slices.Equal(s, []string{"llama"}) {
		t.Errorf("Strings of a string: %q, %v", s, ok)
	}
	for _, key := range []string{"tokens", "u8", "absent"} {
		if s, ok := h.Strings(key); ok {
			t.Errorf("Strings(%s) = %q", key, s)
		}
		if s, ok := h.String(key); ok {
			t.Errorf("String(%s) = %q", key, s)
		}
	}
}

func TestReadVersion1(t *testing.T) {
	w := begin(binary.LittleEndian, 1, 1, 2)
	w.key("general.name", gguf.TypeString).str("old")
	w.array("tokens", gguf.TypeString, 1).str("a")
	w.str("tensor").u32(1).u32(4).u32(0).u64(0)
	h, err := read(w.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if s, _ := h.String("general.name"); s != "old" || h.TensorCount != 1 || len(h.Tensors) != 0 {
		t.Errorf("got %+v", h)
	}
	if d := cmp.Diff([]string{"version 1: the tensor table was not read"}, h.Findings); d != "" {
		t.Error(d)
	}
}

func TestReadFindings(t *testing.T) {
	long := strings.Repeat("a", gguf.MaxKeptText)
	for _, tt := range []struct {
		name string
		file []byte
		want []string
	}{
		{"no tensors, no padding", v3(0, 0).Bytes(), nil},
		{"zero-size and rank 0", v3(2, 0).tensor("a", gguf.F32, 0, 0, 5).tensor("b", gguf.F32, 0).data(32, 4).Bytes(), nil},
		{"last tensor padded", v3(1, 0).tensor("a", gguf.F32, 0).data(32, 32).Bytes(), nil},
		{"bytes behind the tensors", v3(1, 0).tensor("a", gguf.F32, 0).data(32, 33).Bytes(), []string{"1 bytes after the tensor data"}},
		{
			"unknown types", v3(3, 0).tensor("a", 200, 0, 7).tensor("b", 201, 64).tensor("c", gguf.F32, 96).data(32, 100).Bytes(),
			[]string{`2 tensors of unknown type, the first "a" of type 200: their sizes were not checked`},
		},
		{
			"long strings", v3(0, 2).key("a", gguf.TypeString).str(long).key("b", gguf.TypeString).str("b").data(32, 0).Bytes(),
			[]string{"1 strings were too long to keep"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, err := read(tt.file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, h.Findings); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	str, u32 := gguf.TypeString, gguf.TypeUint32
	le := binary.LittleEndian
	deep := v3(0, 1).array("k", gguf.TypeArray, 1)
	for range 4 {
		deep.u32(uint32(gguf.TypeArray)).count(1)
	}
	for _, tt := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "byte 0: field of 4 bytes ends beyond the file of 0 bytes"},
		{"magic", []byte("GGML1234"), `byte 0: file begins with "GGML", not with "GGUF"`},
		{"version 0", begin(le, 0, 0, 0).Bytes(), "byte 4: version 0 is not known"},
		{"version 4", begin(le, 4, 0, 0).Bytes(), "byte 4: version 4 is not known"},
		{"version 4 big-endian", begin(binary.BigEndian, 4, 0, 0).Bytes(), "byte 4: version 4 is not known"},
		{"no counts", []byte("GGUF\x03\x00\x00\x00"), "byte 8: field of 8 bytes ends beyond the file of 8 bytes"},
		{"too many tensors", v3(1_000_001, 0).Bytes(), "byte 8: 1000001 tensors are more than 1000000"},
		{"too many keys", v3(0, 65_537).Bytes(), "byte 8: 65537 keys are more than 65536"},
		{"2^60 tensors", v3(1<<60, 0).Bytes(), "byte 8: 1152921504606846976 tensors are more than 1000000"},
		{"counts beyond the file", v3(2, 3).data(32, 0).Bytes(), "byte 8: 2 tensors and 3 keys do not fit the 8 bytes that are left"},
		{"empty key", v3(0, 1).key("", u32).u32(1).Bytes(), "byte 24: empty key"},
		{"key not ASCII", v3(0, 1).key("é", u32).u32(1).Bytes(), `byte 24: key "é" is not ASCII`},
		{"duplicate key", v3(0, 2).key("a", u32).u32(1).key("a", u32).u32(1).Bytes(), `byte 41: duplicate key "a"`},
		{"long key", v3(0, 1).key(strings.Repeat("a", 65_536), u32).u32(1).Bytes(), "byte 24: key of 65536 bytes is longer than 65535"},
		{"key beyond the file", v3(0, 1).u64(1<<60).data(32, 32).Bytes(), "byte 24: key of 1152921504606846976 bytes ends beyond the file of 64 bytes"},
		{"value type", v3(0, 1).key("a", 13).u32(0).Bytes(), `byte 33: key "a": value of unknown type 13`},
		{"value cut off", v3(0, 1).key("a", gguf.TypeUint64).u32(0).Bytes(), "byte 37: field of 8 bytes ends beyond the file of 41 bytes"},
		{"bool of 2", v3(0, 1).key("a", gguf.TypeBool).raw(2).Bytes(), `byte 37: key "a": a bool of 2`},
		{"bool of 2 in an array", v3(0, 1).array("a", gguf.TypeBool, 2).raw(1, 2).Bytes(), `byte 50: key "a": a bool of 2`},
		{"string beyond the file", v3(0, 1).key("a", str).u64(2).raw('x').Bytes(), `byte 37: value of "a" of 2 bytes ends beyond the file of 46 bytes`},
		{"array of unknown type", v3(0, 1).array("a", 99, 0).Bytes(), `byte 37: key "a": value of unknown type 99`},
		{"array of 2^60", v3(0, 1).array("a", gguf.TypeUint64, 1<<60).u64(0).Bytes(), `byte 41: key "a": 1152921504606846976 items of type u64 do not fit the 8 bytes that are left`},
		{"array of 2^61 times 8", v3(0, 1).array("a", gguf.TypeUint64, 1<<61).u64(0).Bytes(), `byte 41: key "a": 2305843009213693952 items of type u64 do not fit the 8 bytes that are left`},
		{"strings of an array", v3(0, 1).array("a", str, 2).u64(0).Bytes(), `byte 41: key "a": 2 items of type string do not fit the 8 bytes that are left`},
		{"string of an array", v3(0, 1).array("a", str, 1).u64(9).Bytes(), `byte 49: item of "a" of 9 bytes ends beyond the file of 57 bytes`},
		{"string of a kept array", v3(0, 1).array("general.tags", str, 1).u64(9).Bytes(), `byte 60: value of "general.tags" of 9 bytes ends beyond the file of 68 bytes`},
		{"nesting", deep.Bytes(), `byte 85: key "k": arrays nested deeper than 4`},
		{"alignment of another type", v3(0, 1).key("general.alignment", gguf.TypeUint64).u64(32).Bytes(), "byte 61: general.alignment is of type u64, not u32"},
		{"alignment 0", v3(0, 1).key("general.alignment", u32).u32(0).Bytes(), "byte 57: general.alignment 0 is not a power of two from 8 on"},
		{"alignment 4", v3(0, 1).key("general.alignment", u32).u32(4).Bytes(), "byte 57: general.alignment 4 is not a power of two from 8 on"},
		{"alignment 24", v3(0, 1).key("general.alignment", u32).u32(24).Bytes(), "byte 57: general.alignment 24 is not a power of two from 8 on"},
		{"long tensor name", v3(1, 0).tensor(strings.Repeat("a", 65), gguf.F32, 0).Bytes(), "byte 24: tensor name of 65 bytes is longer than 64"},
		{"five dimensions", v3(1, 0).tensor("a", gguf.F32, 0, 1, 1, 1, 1, 1).Bytes(), `byte 33: tensor "a": 5 dimensions are more than 4`},
		{"2^32-1 dimensions", v3(1, 0).str("a").u32(math.MaxUint32).data(32, 64).Bytes(), `byte 33: tensor "a": 4294967295 dimensions are more than 4`},
		{"tensor cut off", v3(1, 0).str("a").u32(3).u64(1).u64(1).Bytes(), "byte 53: field of 8 bytes ends beyond the file of 53 bytes"},
		{"duplicate tensor", v3(2, 0).tensor("a", gguf.F32, 0).tensor("a", gguf.F32, 32).data(32, 64).Bytes(), `byte 49: duplicate tensor "a"`},
		{"2^63 elements", v3(1, 0).tensor("a", gguf.I8, 0, 1<<32, 1<<31).data(32, 64).Bytes(), `byte 24: tensor "a": shape overflows`},
		{"overflow hidden by 0", v3(1, 0).tensor("a", gguf.I8, 0, 1<<32, 1<<32, 0).data(32, 64).Bytes(), `byte 24: tensor "a": shape overflows`},
		{"size overflows", v3(1, 0).tensor("a", gguf.F64, 0, 1<<61).data(32, 64).Bytes(), `byte 24: tensor "a": size overflows`},
		{"part of a block", v3(1, 0).tensor("a", 12, 0, 128, 2).data(32, 144).Bytes(), `byte 24: tensor "a": rows of 128 elements are not whole blocks of 256 (Q4_K)`},
		{"offset not aligned", v3(1, 0).tensor("a", gguf.F32, 4).data(32, 8).Bytes(), `byte 24: tensor "a": offset 4 is no multiple of the alignment 32`},
		{"hole at the start", v3(1, 0).tensor("a", gguf.F32, 32).data(32, 64).Bytes(), `byte 24: tensor "a": offset 32, but the tensors before it end at 0`},
		{"overlap", v3(2, 0).tensor("a", gguf.F32, 0, 9).tensor("b", gguf.F32, 32).data(32, 96).Bytes(), `byte 57: tensor "b": offset 32, but the tensors before it end at 64`},
		{"before a tensor of unknown type", v3(2, 0).tensor("a", gguf.F32, 0).tensor("b", 200, 0).data(32, 96).Bytes(), `byte 49: tensor "b": offset 0, but the tensors before it end at 32`},
		{"data cut off", v3(1, 0).tensor("a", gguf.F32, 0, 9).data(32, 35).Bytes(), `byte 24: tensor "a": 36 bytes at offset 0 end beyond the file, which holds 35 bytes of data`},
		{"offset of 2^63", v3(2, 0).tensor("a", 200, 0).tensor("b", 200, 1<<63).data(32, 64).Bytes(), `byte 49: tensor "b": 0 bytes at offset 9223372036854775808 overflow`},
		{"end overflows", v3(2, 0).tensor("a", 200, 0).tensor("b", gguf.I8, 1<<63-64, 1<<62).data(32, 64).Bytes(), `byte 49: tensor "b": 4611686018427387904 bytes at offset 9223372036854775744 overflow`},
		{"keys of more than 4 MiB", manyKeys(), "byte 4195096: keys longer than 4194304 bytes in all"},
		{"unknown type beyond the file", v3(1, 0).tensor("a", 200, 0).tensor("b", 200, 64).data(32, 0).Bytes(), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, err := read(tt.file)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var breach *gguf.Error
			if !errors.As(err, &breach) || err.Error() != tt.want {
				t.Errorf("got error %v\nwant      %s", err, tt.want)
			}
			if h != nil {
				t.Error("a header came with the error")
			}
		})
	}
}

// manyKeys has 65 keys that are as long as a key may be.
func manyKeys() []byte {
	w := v3(0, 65)
	for i := range 65 {
		w.key(string(rune('!'+i))+strings.Repeat("a", gguf.MaxKeySize-1), gguf.TypeBool).raw(1)
	}
	return w.Bytes()
}

// A file may announce any number. None of them costs memory before it is
// compared with the bytes that are there.
func TestReadHostileMemory(t *testing.T) {
	var files [][]byte
	for _, n := range []uint64{1 << 60, math.MaxUint64, math.MaxInt64} {
		files = append(files,
			v3(n, 0).Bytes(), v3(0, n).Bytes(), v3(n, n).Bytes(),
			v3(0, 1).u64(n).data(32, 32).Bytes(),
			v3(0, 1).key("a", gguf.TypeString).u64(n).Bytes(),
			v3(0, 1).array("general.tags", gguf.TypeString, n).Bytes(),
			v3(0, 1).array("a", gguf.TypeArray, n).Bytes(),
			v3(1, 0).u64(n).data(32, 32).Bytes(),
		)
	}
	for _, b := range files {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := read(b); err == nil {
			t.Errorf("accepted %q", b)
		}
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
			t.Errorf("allocated %d bytes for %q", got, b)
		}
	}
}

// A header may have 1 GiB, whatever the size of the file.
func TestReadHeaderCap(t *testing.T) {
	short := v3(0, 1).key("a", gguf.TypeString).u64(1 << 20).Bytes()
	_, err := gguf.Read(bytes.NewReader(short), 4<<30)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("short reader: %v", err)
	}
	b := v3(0, 1).key("a", gguf.TypeString).u64(2 << 30).Bytes()
	_, err = gguf.Read(io.NewSectionReader(zeros{bytes.NewReader(b)}, 0, 4<<30), 4<<30)
	if want := `byte 37: value of "a" of 2147483648 bytes ends beyond the 1073741824 bytes that a header may have`; err == nil || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
}

// zeros continues a reader for ever.
type zeros struct{ r io.ReaderAt }

func (z zeros) ReadAt(b []byte, off int64) (int, error) {
	clear(b)
	_, err := z.r.ReadAt(b, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return len(b), err
}

func TestFileTypeName(t *testing.T) {
	for ft, want := range map[uint32]string{0: "f32", 15: "q4_k_m", 1024 + 7: "q8_0", 30: "iq4_xs", 32: "bf16", 38: "mxfp4", 4: "", 1 << 31: ""} {
		if got := gguf.FileTypeName(ft); got != want {
			t.Errorf("FileTypeName(%d) = %q, want %q", ft, got, want)
		}
	}
}

// encode writes the tensor table of h again.
func encode(h *gguf.Header, size int) []byte {
	w := v3(uint64(len(h.Tensors)), 1)
	w.key("general.alignment", gguf.TypeUint32).u32(uint32(h.Alignment))
	for _, t := range h.Tensors {
		w.tensor(t.Name, t.Type, t.Offset, t.Shape...)
	}
	w.data(int(h.Alignment), max(size-int(h.DataStart), 0))
	return w.Bytes()
}

// FuzzRead: the tensors of an accepted file lie in order inside it, its tensor
// table survives being written and read again, and nothing behind its header is read.
func FuzzRead(f *testing.F) {
	f.Add(model(binary.LittleEndian, 3))
	f.Add(model(binary.BigEndian, 2))
	f.Add(begin(binary.LittleEndian, 1, 0, 1).key("general.name", gguf.TypeString).str("old").Bytes())
	f.Add(v3(3, 0).tensor("a", 200, 0, 7).tensor("b", 39, 64, 32, 0).tensor("c", gguf.F32, 64).data(32, 100).Bytes())
	f.Add(v3(0, 1).array("general.datasets", gguf.TypeString, 1).str("x").Bytes())
	f.Add(v3(1<<60, 1<<60).Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &watched{Reader: bytes.NewReader(b)}
		h, err := gguf.Read(r, int64(len(b)))
		if err != nil {
			var breach *gguf.Error
			if !errors.As(err, &breach) {
				t.Fatalf("a complete file gave an error of reading: %v", err)
			}
			return
		}
		if h.HeaderSize > int64(len(b)) {
			t.Fatalf("header of %d bytes in a file of %d", h.HeaderSize, len(b))
		}
		if h.Version == 1 {
			return
		}
		if r.furthest > h.HeaderSize {
			t.Fatalf("read up to byte %d, the header ends at %d", r.furthest, h.HeaderSize)
		}
		var end uint64
		for _, x := range h.Tensors {
			if x.Offset < end || uint64(h.DataStart)+x.Offset+x.Size > uint64(max(int64(len(b)), h.DataStart)) {
				t.Fatalf("tensor %+v after %d in a file of %d bytes", x, end, len(b))
			}
			end = x.Offset + x.Size
		}
		if h.Alignment > 1<<16 {
			return // the copy would be as large
		}
		h2, err := read(encode(h, len(b)))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(h.Tensors, h2.Tensors, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(gguf.Tensor{}, "At")); d != "" {
			t.Fatal(d)
		}
	})
}
