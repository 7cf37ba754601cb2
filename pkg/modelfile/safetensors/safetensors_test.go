package safetensors_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/modseal/modseal/pkg/modelfile/safetensors"
)

// file puts a header and data bytes together.
func file(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	b = append(b, header...)
	return append(b, make([]byte, data)...)
}

func read(b []byte) (*safetensors.Header, error) {
	return safetensors.Read(bytes.NewReader(b), int64(len(b)))
}

func TestRead(t *testing.T) {
	for _, tt := range []struct {
		name   string
		header string
		data   int
		want   safetensors.Header
	}{
		{"empty map", `{}`, 0, safetensors.Header{}},
		{"empty map, padded", `{}      `, 0, safetensors.Header{}},
		{
			"sorted by offset", `{"b":{"dtype":"F16","shape":[2,3],"data_offsets":[4,16]},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}`, 16,
			safetensors.Header{Tensors: []safetensors.Tensor{
				{Name: "a", DType: "F32", Shape: []uint64{}, Begin: 0, End: 4},
				{Name: "b", DType: "F16", Shape: []uint64{2, 3}, Begin: 4, End: 16},
			}},
		},
		{
			"zero-size tensors share an offset", `{"b":{"dtype":"F16","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"I64","shape":[7,0],"data_offsets":[0,0]},"c":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1,
			safetensors.Header{Tensors: []safetensors.Tensor{
				{Name: "a", DType: "I64", Shape: []uint64{7, 0}},
				{Name: "b", DType: "F16", Shape: []uint64{0}},
				{Name: "c", DType: "U8", Shape: []uint64{1}, End: 1},
			}},
		},
		{
			"types narrower than a byte", `{"a":{"dtype":"F4","shape":[4],"data_offsets":[0,2]},"b":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[2,5]}}`, 5,
			safetensors.Header{Tensors: []safetensors.Tensor{
				{Name: "a", DType: "F4", Shape: []uint64{4}, End: 2},
				{Name: "b", DType: "F6_E2M3", Shape: []uint64{4}, Begin: 2, End: 5},
			}},
		},
		{
			"white space, escapes and metadata", "{ \"__metadata__\" :\n{ \"format\" : \"p\\u0074\\n\\ud83d\\ude00\" } ,\t\"\\\"é\\/\" : { \"data_offsets\" : [ 0 , 1 ] , \"shape\" : [ 1 ] , \"dtype\" : \"B\\u004fOL\" } }", 1,
			safetensors.Header{
				Metadata: map[string]string{"format": "pt\n😀"},
				Tensors:  []safetensors.Tensor{{Name: `"é/`, DType: "BOOL", Shape: []uint64{1}, End: 1}},
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := read(file(tt.header, tt.data))
			if err != nil {
				t.Fatal(err)
			}
			tt.want.HeaderSize = int64(len(tt.header))
			tt.want.TensorCount = len(tt.want.Tensors)
			for i := range tt.want.Tensors {
				tt.want.Tensors[i].At = int64(8+len(tt.header)) + int64(tt.want.Tensors[i].Begin)
			}
			if d := cmp.Diff(&tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	tensor := func(members string) string { return `{"w":{` + members + `}}` }
	for _, tt := range []struct {
		name string
		file []byte
		want string
	}{
		{"too short", []byte("1234567"), "byte 0: a file of 7 bytes has no room for the header length"},
		{"header length 0", file("", 0), "byte 0: header is empty"},
		{"header beyond the file", binary.LittleEndian.AppendUint64(nil, 5), "byte 0: header of 5 bytes does not fit a file of 8"},
		{"header above the cap", binary.LittleEndian.AppendUint64(nil, 100_000_001), "byte 0: header of 100000001 bytes is larger than 100000000"},
		{"length above 2^63", binary.LittleEndian.AppendUint64(nil, 1<<63), "byte 0: header of 9223372036854775808 bytes is larger than 100000000"},
		{"leading space", file(" {}", 0), "byte 8: header does not begin with '{'"},
		{"array", file("[]", 0), "byte 8: header does not begin with '{'"},
		{"ends early", file(`{"a"`, 0), "byte 12: header ends inside a value"},
		{"newline after the object", file("{}\n", 0), `byte 10: '\n' after the header object, where only spaces may be`},
		{"second object", file("{}{}", 0), `byte 10: '{' after the header object, where only spaces may be`},
		{"trailing comma", file(`{"__metadata__":{},}`, 0), `byte 27: '}' where a key should begin`},
		{"no comma", file(`{"__metadata__":{}"a":{}}`, 0), `byte 26: '"' after a value, where ',' or '}' should be`},
		{"no colon", file(`{"a"{}}`, 0), "byte 12: no colon after a key"},
		{"duplicate tensor", file(`{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\u0061":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`, 0), `byte 61: duplicate key "a"`},
		{"duplicate metadata", file(`{"__metadata__":{},"__metadata__":{}}`, 0), `byte 27: duplicate key "__metadata__"`},
		{"duplicate metadata entry", file(`{"__metadata__":{"a":"","a":""}}`, 0), `byte 32: duplicate key "a" in __metadata__`},
		{"metadata is a number", file(`{"__metadata__":1}`, 0), "byte 24: __metadata__ is not an object"},
		{"metadata is null", file(`{"__metadata__":null}`, 0), "byte 24: __metadata__ is not an object"},
		{"metadata holds a number", file(`{"__metadata__":{"a":1}}`, 0), "byte 29: a value of __metadata__ is not a string"},
		{"tensor is a string", file(`{"a":"b"}`, 0), "byte 13: a tensor is not an object"},
		{"no dtype", file(tensor(`"shape":[],"data_offsets":[0,4]`), 4), `byte 9: tensor "w": no dtype`},
		{"no shape", file(tensor(`"dtype":"F32","data_offsets":[0,4]`), 4), `byte 9: tensor "w": no shape`},
		{"no offsets", file(tensor(`"dtype":"F32","shape":[]`), 4), `byte 9: tensor "w": no data_offsets`},
		{"duplicate member", file(tensor(`"shape":[],"shape":[]`), 0), `byte 25: tensor "w": duplicate key "shape"`},
		{"duplicate dtype", file(tensor(`"dtype":"U8","dtype":"U8"`), 0), `byte 27: tensor "w": duplicate key "dtype"`},
		{"unknown member", file(tensor(`"DType":"F32"`), 0), `byte 14: tensor "w": unknown key "DType"`},
		{"unknown dtype", file(tensor(`"dtype":"f32"`), 0), `byte 22: tensor "w": unknown dtype "f32"`},
		{"dtype is a number", file(tensor(`"dtype":32`), 0), "byte 22: dtype is not a string"},
		{"shape is a number", file(tensor(`"shape":32`), 0), "byte 22: shape is not an array"},
		{"nested shape", file(tensor(`"shape":[[1]]`), 0), `byte 23: shape: '[' does not begin an unsigned integer`},
		{"negative", file(tensor(`"shape":[-1]`), 0), `byte 23: shape: '-' does not begin an unsigned integer`},
		{"fraction", file(tensor(`"shape":[1.0]`), 0), "byte 24: shape: '.' in a number, where only unsigned integers are allowed"},
		{"exponent", file(tensor(`"shape":[1e3]`), 0), "byte 24: shape: 'e' in a number, where only unsigned integers are allowed"},
		{"leading zero", file(tensor(`"shape":[01]`), 0), "byte 23: shape: number with a leading zero"},
		{"2^63", file(tensor(`"shape":[9223372036854775808]`), 0), "byte 23: shape: number above 2^63-1"},
		{"rank", file(tensor(`"shape":[`+strings.Repeat("1,", 64)+`1]`), 0), "byte 151: shape holds more than 64 numbers"},
		{"product overflows", file(tensor(`"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]`), 0), `byte 9: tensor "w": shape overflows`},
		{"bits overflow", file(tensor(`"dtype":"F64","shape":[4611686018427387904],"data_offsets":[0,0]`), 0), `byte 9: tensor "w": shape overflows`},
		{"half a byte", file(tensor(`"dtype":"F4","shape":[3],"data_offsets":[0,2]`), 2), `byte 9: tensor "w": 12 bits are not whole bytes`},
		{"one offset", file(tensor(`"data_offsets":[0]`), 0), "byte 29: data_offsets holds 1 numbers, not 2"},
		{"three offsets", file(tensor(`"data_offsets":[0,1,2]`), 0), "byte 34: data_offsets holds more than 2 numbers"},
		{"ends before it begins", file(tensor(`"dtype":"F32","shape":[1],"data_offsets":[4,0]`), 4), `byte 9: tensor "w": ends at 0 before it begins at 4`},
		{"wrong span", file(tensor(`"dtype":"F32","shape":[2],"data_offsets":[0,4]`), 4), `byte 9: tensor "w": spans 4 bytes, shape and type need 8`},
		{"hole at the start", file(tensor(`"dtype":"U8","shape":[1],"data_offsets":[1,2]`), 2), `byte 9: tensor "w": begins at 1, a hole of 1 bytes after the tensor before it`},
		{"overlap", file(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}`, 3), `byte 61: tensor "b": begins at 1, inside the tensor before it, which ends at 2`},
		{"trailing bytes", file(tensor(`"dtype":"U8","shape":[1],"data_offsets":[0,1]`), 2), "tensors end at 1, but the file holds 2 bytes of data"},
		{"data cut off", file(tensor(`"dtype":"U8","shape":[2],"data_offsets":[0,2]`), 1), "tensors end at 2, but the file holds 1 bytes of data"},
		{"data without tensors", file(`{}`, 1), "tensors end at 0, but the file holds 1 bytes of data"},
		{"more tensors than a header may have", file("{"+strings.Repeat(`"":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},`, safetensors.MaxTensors+1)+"}", 0), "byte 51000009: more than 1000000 tensors"},
		{"invalid UTF-8", file("{\"\xff\":{}}", 0), "byte 9: string is not valid UTF-8"},
		{"control character", file("{\"a\x00\":{}}", 0), "byte 11: control character 0x00 in a string"},
		{"lone surrogate", file(`{"\ud800":{}}`, 0), "byte 10: lone surrogate"},
		{"wrong pair", file(`{"\ud800\u0041":{}}`, 0), "byte 10: lone surrogate"},
		{"unknown escape", file(`{"\x":{}}`, 0), `byte 10: unknown escape \x`},
		{"bad hex", file(`{"\u00g0":{}}`, 0), `byte 10: \u without four hex digits`},
		{"long name", file(`{"`+strings.Repeat("a", 4097)+`":{}}`, 0), "byte 9: string longer than 4096 bytes"},
		{"large metadata", file(`{"__metadata__":{"a":"`+strings.Repeat("a", 4<<20)+`"}}`, 0), "byte 29: string longer than 4194175 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, err := read(tt.file)
			var breach *safetensors.Error
			if !errors.As(err, &breach) || err.Error() != tt.want {
				t.Errorf("got error %v\nwant      %s", err, tt.want)
			}
			if h != nil {
				t.Error("a header came with the error")
			}
		})
	}
}

// A reader shorter than the size it was announced with is not a breach of the
// format.
func TestReadShortReader(t *testing.T) {
	b := file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1)
	for _, n := range []int{4, 20} {
		_, err := safetensors.Read(bytes.NewReader(b[:n]), int64(len(b)))
		var breach *safetensors.Error
		if !errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &breach) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestPrecisionName(t *testing.T) {
	for d, want := range map[safetensors.DType]string{
		safetensors.F64: "float64", safetensors.BF16: "bfloat16", safetensors.F8E4M3: "float8_e4m3", safetensors.Bool: "bool",
		safetensors.C64: "complex64", safetensors.I8: "int8", safetensors.U64: "uint64",
		safetensors.F4: "", safetensors.F6E3M2: "", safetensors.F8E8M0: "", safetensors.F8E4M3FNUZ: "", "X": "",
	} {
		if got := safetensors.PrecisionName(d); got != want {
			t.Errorf("PrecisionName(%s) = %q, want %q", d, got, want)
		}
	}
}

// pattern is a file of any size that costs no memory: head, then body again
// and again.
type pattern struct {
	head, body []byte
	size       int64
}

func (p pattern) ReadAt(b []byte, off int64) (int, error) {
	n := 0
	for ; n < len(b) && off < p.size; n++ {
		if off < int64(len(p.head)) {
			b[n] = p.head[off]
		} else {
			b[n] = p.body[(off-int64(len(p.head)))%int64(len(p.body))]
		}
		off++
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// A header may announce 100 MB. What is kept of it must follow from what is
// valid in it, so a hostile one costs next to nothing.
func TestReadHostileMemory(t *testing.T) {
	const budget = 32 << 20
	for _, tt := range []struct{ name, head, body, want string }{
		{"spaces before the end", `{`, " ", "header ends inside a value"},
		{"spaces after the object", `{}`, " ", ""},
		{"endless name", `{"`, "a", "string longer than 4096 bytes"},
		{"endless metadata value", `{"__metadata__":{"a":"`, "a", "string longer than 4194175 bytes"},
		{"endless escapes", `{"__metadata__":{"a":"`, `\u00e9`, "string longer than 4194175 bytes"},
		{"nesting", `{"a":`, "{", "'{' where a key should begin"},
		{"brackets", `{"a":{"shape":`, "[", "does not begin an unsigned integer"},
		{"endless shape", `{"a":{"shape":[1`, ",1", "shape holds more than 64 numbers"},
		{"endless number", `{"a":{"shape":[`, "1", "number above 2^63-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			head := append(binary.LittleEndian.AppendUint64(nil, safetensors.MaxHeaderSize), tt.head...)
			p := pattern{head, []byte(tt.body), safetensors.MaxHeaderSize + 8}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := safetensors.Read(p, p.size)
			runtime.ReadMemStats(&after)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got error %v, want %q", err, tt.want)
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > budget {
				t.Errorf("allocated %d bytes in all", got)
			}
		})
	}
}

// encode writes h the way the format's own writer does.
func encode(t *testing.T, h *safetensors.Header) []byte {
	t.Helper()
	top := map[string]any{}
	if h.Metadata != nil {
		top["__metadata__"] = h.Metadata
	}
	var data uint64
	for _, x := range h.Tensors {
		top[x.Name] = map[string]any{"dtype": x.DType, "shape": x.Shape, "data_offsets": []uint64{x.Begin, x.End}}
		data = x.End
	}
	b, err := json.Marshal(top)
	if err != nil {
		t.Fatal(err)
	}
	return file(string(b), int(data))
}

// FuzzRead: the tensors of an accepted file cover its data exactly, and its
// header survives being written by encoding/json and read again.
func FuzzRead(f *testing.F) {
	for _, header := range []string{
		`{}`, `{}   `, `{"__metadata__":{"format":"pt","é":"\ud83d\ude00"}}`,
		`{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}`,
		`{"b":{"dtype":"BF16","shape":[1,1],"data_offsets":[2,4]}, "a":{"dtype":"F4","shape":[4,0,9],"data_offsets":[0,0]},"c":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}`,
		`{"a":{"dtype":"F32","shape":[01],"data_offsets":[0,4]}}`,
	} {
		f.Add(header, uint16(4))
	}
	f.Fuzz(func(t *testing.T, header string, data uint16) {
		b := file(header, int(data))
		h, err := read(b)
		if err != nil {
			var breach *safetensors.Error
			if !errors.As(err, &breach) {
				t.Fatalf("a complete file gave an error of reading: %v", err)
			}
			return
		}
		var next uint64
		for _, x := range h.Tensors {
			if x.Begin != next || (x.End-x.Begin)*8 != x.Elements()*x.DType.Bits() {
				t.Fatalf("tensor %q spans %d to %d after %d", x.Name, x.Begin, x.End, next)
			}
			next = x.End
		}
		if next != uint64(data) {
			t.Fatalf("tensors end at %d of %d", next, data)
		}
		again := encode(t, h)
		h2, err := read(again)
		if err != nil {
			t.Fatalf("%v in %s", err, again)
		}
		h2.HeaderSize = h.HeaderSize
		if d := cmp.Diff(h, h2, cmpopts.IgnoreFields(safetensors.Tensor{}, "At")); d != "" {
			t.Fatal(d)
		}
	})
}

func ExampleRead() {
	b := file(`{"w":{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]}}`, 12)
	h, err := safetensors.Read(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, t := range h.Tensors {
		fmt.Println(t.Name, t.DType, t.Shape, t.Elements())
	}
	// Output: w F16 [2 3] 6
}
