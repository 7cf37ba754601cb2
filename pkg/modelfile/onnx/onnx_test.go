package onnx_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/modseal/modseal/pkg/modelfile/onnx"
)

// num and msg write one protobuf field, join puts fields together.
func num(field, v uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(nil, field<<3), v)
}

func msg[T string | []byte](field uint64, v T) []byte {
	b := binary.AppendUvarint(binary.AppendUvarint(nil, field<<3|2), uint64(len(v)))
	return append(b, v...)
}

func join(fields ...[]byte) []byte { return bytes.Join(fields, nil) }

func opset(domain string, version uint64) []byte {
	return msg(8, join(msg(1, domain), num(2, version)))
}

func entry(field uint64, key, value string) []byte {
	return msg(field, join(msg(1, key), msg(2, value)))
}

func tensor(dataType uint64, dims ...uint64) []byte {
	var b []byte
	for _, d := range dims {
		b = append(b, num(1, d)...)
	}
	return append(b, num(2, dataType)...)
}

func graph(initializers ...[]byte) []byte { return msg(7, graphOf(initializers...)) }

func graphOf(initializers ...[]byte) []byte {
	g := join(msg(1, msg(4, "Op")), msg(2, "name"))
	for _, x := range initializers {
		g = append(g, msg(5, x)...)
	}
	return g
}

// model has all that a model must have, and what is given.
func model(fields ...[]byte) []byte {
	return join(num(1, 8), msg(2, "pytorch"), join(fields...), opset("", 17))
}

// subgraph is a node with a graph in an attribute.
func subgraph(g []byte) []byte {
	return msg(1, join(msg(4, "If"), msg(5, join(msg(1, "then_branch"), msg(6, g)))))
}

// nested is a graph in a graph, n deep.
func nested(n int) []byte {
	var g []byte
	for range n {
		g = subgraph(g)
	}
	return msg(7, g)
}

func read(b []byte) (*onnx.Model, error) {
	return onnx.Read(bytes.NewReader(b), int64(len(b)))
}

func TestRead(t *testing.T) {
	packed := join(msg(1, []byte{0x80, 0x02, 3}), num(2, 16), msg(9, make([]byte, 2*768)))
	external := join(tensor(1, 4), num(14, 1), entry(13, "location", "./weights/model.data"), entry(13, "offset", "4096"), entry(13, "length", "16"))
	b := join(
		num(1, 9), msg(2, "test"), msg(3, "1"), msg(6, "doc"),
		graph(tensor(1, 2, 3), tensor(1), tensor(7, 4), tensor(8, 1000), tensor(21, 2), tensor(77, 1), tensor(1, 0, 9), packed, external),
		opset("", 21), opset("com.example", 1), entry(14, "author", "me"),
		num(99, 1), join(binary.AppendUvarint(nil, 100<<3|1), make([]byte, 8)), join(binary.AppendUvarint(nil, 101<<3|5), make([]byte, 4)),
	)
	got, err := read(b)
	if err != nil {
		t.Fatal(err)
	}
	want := &onnx.Model{
		IRVersion: 9, Producer: "test",
		Opsets:     []onnx.Opset{{Version: 21}, {Domain: "com.example", Version: 1}},
		Metadata:   map[string]string{"author": "me"},
		Parameters: 6 + 1 + 4 + 2 + 1 + 768 + 4,
		Elements:   map[onnx.DataType]uint64{1: 11, 7: 4, 21: 2, 0: 1, 16: 768},
		External:   []onnx.External{{Location: "weights/model.data", MinSize: 4112}},
		Domains:    []onnx.Domain{{Name: "com.example"}},
		Findings:   []string{`operators of domain "com.example" need a native library`},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// A real file: onnx/backend/test/data/pytorch-converted/test_Linear of
// onnx/onnx (Apache-2.0).
func TestReadRealFile(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "linear.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := read(b)
	if err != nil {
		t.Fatal(err)
	}
	want := &onnx.Model{IRVersion: 3, Producer: "pytorch", Opsets: []onnx.Opset{{Version: 6}}, Parameters: 88, Elements: map[onnx.DataType]uint64{1: 88}}
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
	if !onnx.Sniff(b) {
		t.Error("Sniff says no")
	}
}

func TestReadRefuses(t *testing.T) {
	external := func(entries ...[]byte) []byte {
		return model(graph(join(num(14, 1), tensor(1, 1), join(entries...))))
	}
	huge := binary.AppendUvarint([]byte{7<<3 | 2}, math.MaxUint64)
	for _, tt := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "byte 0: ir_version 0 is not a version of onnx"},
		{"ir_version 0", join(num(1, 0), graph()), "byte 0: ir_version 0 is not a version of onnx"},
		{"negative ir_version", join(num(1, math.MaxUint64), graph()), "byte 0: ir_version 18446744073709551615 is not a version of onnx"},
		{"no graph", model(), "byte 0: model without a graph"},
		{"no operator sets", join(num(1, 3), graph()), "byte 0: model of ir_version 3 without an opset_import"},
		{"tag cut off", []byte{0x80}, "byte 0: number ends beyond the message that holds it"},
		{"value cut off", []byte{8}, "byte 1: number ends beyond the message that holds it"},
		{"number above 64 bits", append([]byte{8}, bytes.Repeat([]byte{0xff}, 10)...), "byte 1: number above 64 bits"},
		{"endless number", append([]byte{8}, append(bytes.Repeat([]byte{0x80}, 9), 0x80)...), "byte 1: number above 64 bits"},
		{"field 0", []byte{2, 0}, "byte 0: model: field number 0"},
		{"field above 2^29", num(1<<29, 0), "byte 0: model: field number 536870912"},
		{"group", []byte{9<<3 | 3}, "byte 0: model: field 9 has wire type 3"},
		{"end of group", []byte{9<<3 | 4}, "byte 0: model: field 9 has wire type 4"},
		{"wire type 7", []byte{9<<3 | 7}, "byte 0: model: field 9 has wire type 7"},
		{"fixed 64 cut off", []byte{9<<3 | 1, 1, 2}, "byte 0: model: field 9 of 8 bytes, where 2 are left"},
		{"fixed 32 cut off", []byte{9<<3 | 5, 1, 2}, "byte 0: model: field 9 of 4 bytes, where 2 are left"},
		{"graph beyond the file", []byte{7<<3 | 2, 5, 0}, "byte 0: model: field 7 of 5 bytes, where 1 are left"},
		{"graph of 2^64-1", huge, "byte 0: model: field 7 of 18446744073709551615 bytes, where 0 are left"},
		{"unknown field beyond the file", []byte{99<<3&0x7f | 2 | 0x80, 6, 5}, "byte 0: model: field 99 of 5 bytes, where 0 are left"},
		{"initializer beyond the graph", model(msg(7, []byte{5<<3 | 2, 9, 1})), "byte 13: graph: field 5 of 9 bytes, where 1 are left"},
		{"dims beyond the initializer", model(msg(7, msg(5, []byte{1<<3 | 2, 2, 1}))), "byte 15: initializer: field 1 of 2 bytes, where 1 are left"},
		{"packed number beyond dims", model(msg(7, msg(5, msg(1, []byte{0x80})))), "byte 17: number ends beyond the message that holds it"},
		{"ir_version as bytes", msg(1, "8"), "byte 0: ir_version has wire type 2, not 0"},
		{"producer as number", join(num(1, 8), num(2, 1)), "byte 2: producer_name has wire type 0, not 2"},
		{"graph as number", num(7, 1), "byte 0: graph has wire type 0, not 2"},
		{"operator set as number", num(8, 1), "byte 0: opset_import has wire type 0, not 2"},
		{"operator set with a bad domain", msg(8, num(1, 0)), "byte 2: domain has wire type 0, not 2"},
		{"initializer as number", model(msg(7, num(5, 1))), "byte 13: initializer has wire type 0, not 2"},
		{"dims as fixed", model(graph(append([]byte{1<<3 | 5}, 0, 0, 0, 0))), "byte 27: dims has wire type 5, not 2"},
		{"ir_version twice", join(num(1, 8), num(1, 8)), "byte 2: field 1 of the model appears twice"},
		{"graph twice", model(graph(), graph()), "byte 25: field 7 of the model appears twice"},
		{"producer not UTF-8", msg(2, "\xff"), "byte 0: producer_name is not valid UTF-8"},
		{"long producer", msg(2, strings.Repeat("a", 4097)), "byte 0: producer_name of 4097 bytes is longer than 4096"},
		{"too many operator sets", bytes.Repeat(opset("", 1), 1001), "byte 6000: more than 1000 operator sets"},
		{"duplicate metadata", join(entry(14, "a", "b"), entry(14, "a", "c")), `byte 8: duplicate key "a" in metadata_props`},
		{"negative dimension", model(graph(tensor(1, math.MaxUint64))), "byte 27: tensor with a negative dimension"},
		{"dimensions overflow", model(graph(tensor(1, 1<<40, 1<<40))), "byte 34: tensor with dimensions that overflow"},
		{"sum overflows", model(graph(tensor(1, math.MaxInt64), tensor(1, math.MaxInt64), tensor(1, 2))), "byte 53: the sum of all elements overflows"},
		{"external nowhere", external(), "byte 25: external data without a location"},
		{"external long", external(entry(13, "location", strings.Repeat("a", 4097))), "byte 35: external data with a location of 4097 bytes, which is longer than 4096"},
		{"rank", model(graph(tensor(1, slices.Repeat([]uint64{1}, 65)...))), "byte 157: tensor with more than 64 dimensions"},
		{"tensor name as number", model(graph(num(8, 1))), "byte 27: name of a tensor has wire type 0, not 2"},
		{"tensor name not UTF-8", model(graph(msg(8, "\xff"))), "byte 27: name of a tensor is not valid UTF-8"},
		{"raw data as number", model(graph(num(9, 1))), "byte 27: raw_data has wire type 0, not 2"},
		{"node as number", model(msg(7, num(1, 1))), "byte 13: node has wire type 0, not 2"},
		{"attribute as number", model(msg(7, msg(1, num(5, 1)))), "byte 15: attribute has wire type 0, not 2"},
		{"function as number", model(num(25, 1)), "byte 11: function has wire type 0, not 2"},
		{"training as number", model(num(20, 1)), "byte 11: training_info has wire type 0, not 2"},
		{"a thousand graphs in each other", model(nested(1000)), "byte 939: graphs nested deeper than 32"},
		{"tensor beyond the attribute", model(msg(7, msg(1, msg(5, []byte{5<<3 | 2, 9})))), "byte 17: attribute: field 5 of 9 bytes, where 0 are left"},
		{"external twice", external(entry(13, "location", "a"), entry(13, "location", "b")), "byte 48: external data with two locations"},
		{"external offset", external(entry(13, "offset", "-1")), `byte 33: external data with the offset "-1"`},
		{"external overflow", external(entry(13, "location", "a"), entry(13, "offset", "9223372036854775808")), `byte 48: external data with the offset "9223372036854775808"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := read(tt.file)
			var breach *onnx.Error
			if !errors.As(err, &breach) || err.Error() != tt.want {
				t.Errorf("got error %v\nwant      %s", err, tt.want)
			}
			if m != nil {
				t.Error("a model came with the error")
			}
		})
	}
}

func TestReadShortReader(t *testing.T) {
	b := model(graph(tensor(1, 2)))
	_, err := onnx.Read(bytes.NewReader(b[:9]), int64(len(b)))
	var breach *onnx.Error
	if !errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &breach) {
		t.Error(err)
	}
}

func TestSniff(t *testing.T) {
	long := join(num(1, 8), msg(2, "pytorch"), msg(6, strings.Repeat("a", 1000)), graph())
	for _, tt := range []struct {
		name   string
		prefix []byte
		want   bool
	}{
		{"whole model", model(graph()), true},
		{"graph first", join(num(1, 8), graph(), opset("", 1)), true},
		{"operator set first", join(num(1, 8), opset("", 1)), true},
		{"cut off inside a text", long[:512], true},
		{"cut off before a second field", long[:2], false},
		{"nothing", nil, false},
		{"graph alone", graph(), false},
		{"version 0", join(num(1, 0), graph()), false},
		{"version 1000", join(num(1, 1000), graph()), false},
		{"unknown field", join(num(1, 8), num(9, 1), graph()), false},
		{"text that is none", join(num(1, 8), msg(2, "\xff\xfe"), graph()), false},
		{"wrong wire type", join(num(1, 8), num(2, 1), graph()), false},
		{"empty graph", join(num(1, 8), msg(7, ""), opset("", 1)), false},
		{"zeros", make([]byte, 512), false},
		{"text", []byte("version https://git-lfs.github.com/spec/v1"), false},
	} {
		if got := onnx.Sniff(tt.prefix); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestPrecisionName(t *testing.T) {
	for d, want := range map[onnx.DataType]string{0: "", 1: "float32", 10: "float16", 11: "float64", 15: "complex128", 16: "bfloat16", 17: "float8_e4m3", 19: "float8_e5m2", 18: "", 22: "", 8: "", 255: ""} {
		if got := onnx.PrecisionName(d); got != want {
			t.Errorf("PrecisionName(%s) = %q, want %q", d, got, want)
		}
	}
}

// encode writes what is known of m.
func encode(m *onnx.Model) []byte {
	b := join(num(1, m.IRVersion), msg(2, m.Producer))
	var weights [][]byte
	for d, n := range m.Elements {
		for ; n > math.MaxInt64; n -= math.MaxInt64 {
			weights = append(weights, tensor(uint64(d), math.MaxInt64))
		}
		weights = append(weights, tensor(uint64(d), n))
	}
	b = append(b, graph(weights...)...)
	for _, o := range m.Opsets {
		b = append(b, opset(o.Domain, o.Version)...)
	}
	for k, v := range m.Metadata {
		b = append(b, entry(14, k, v)...)
	}
	return b
}

// FuzzRead: the types of an accepted model sum up to its parameters, its
// external files are local, and it survives being written and read again.
func FuzzRead(f *testing.F) {
	linear, err := os.ReadFile(filepath.Join("testdata", "linear.onnx"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(linear)
	f.Add(model(graph(tensor(1, 2, 3), join(msg(1, []byte{2, 3}), num(2, 16))), entry(14, "a", "b"), opset("com.example", 1)))
	f.Add(model(graph(join(tensor(1, 4), num(14, 1), entry(13, "location", "a/../b"), entry(13, "offset", "1"), entry(13, "length", "2")))))
	f.Add(join(num(1, 2), graph()))
	f.Add(model(nested(3), msg(25, join(msg(1, "F"), msg(10, "x"), msg(7, join(msg(4, "Op"), msg(7, "y"))))), msg(20, msg(1, graphOf(tensor(1, 2))))))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := read(b)
		if err != nil {
			var breach *onnx.Error
			if !errors.As(err, &breach) {
				t.Fatalf("a complete file gave an error of reading: %v", err)
			}
			return
		}
		var sum uint64
		for _, n := range m.Elements {
			sum += n
		}
		if sum != m.Parameters {
			t.Fatalf("%d parameters, but %v", m.Parameters, m.Elements)
		}
		for _, x := range m.External {
			if !filepath.IsLocal(x.Location) {
				t.Fatalf("external file %q", x.Location)
			}
		}
		m2, err := read(encode(m))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(m, m2, cmpopts.IgnoreFields(onnx.Model{}, "External", "Escapes", "Domains", "Findings")); d != "" {
			t.Fatal(d)
		}
	})
}
