package joblib_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/joblib"
	"github.com/modseal/modseal/pkg/modelfile/pickle"
)

type scanned struct {
	*joblib.Result
	findings []hazard.Finding
}

func (s scanned) rules() []string {
	rules := []string{}
	for _, f := range s.findings {
		rules = append(rules, f.Rule)
	}
	slices.Sort(rules)
	return slices.Compact(rules)
}

func scan(t testing.TB, b []byte) scanned {
	t.Helper()
	return scanContent(t, hazard.OfFile("x.joblib", bytes.NewReader(b), int64(len(b))))
}

func scanContent(t testing.TB, c hazard.Content) scanned {
	t.Helper()
	var s scanned
	r, err := joblib.Scan(context.Background(), c, pickle.Options{}, func(f hazard.Finding) { s.findings = append(s.findings, f) })
	if err != nil {
		t.Fatal(err)
	}
	s.Result = r
	return s
}

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "python", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What hack/fixtures/pickles.py wrote is read to its end, whatever the protocol.
func TestFixtures(t *testing.T) {
	clean, dangerous, unknown := []string{}, []string{"pickle-dangerous-global"}, []string{"pickle-unknown-global"}
	for name, want := range map[string]struct {
		rules  []string
		arrays int
	}{
		"arrays-0.joblib": {clean, 8}, "arrays-1.joblib": {clean, 8}, "arrays-2.joblib": {clean, 8},
		"arrays-3.joblib": {clean, 8}, "arrays-4.joblib": {clean, 8}, "arrays-5.joblib": {clean, 8},
		"objects.joblib": {clean, 2}, "command-in-array.joblib": {dangerous, 2}, "command-behind-array.joblib": {dangerous, 1},
		"sklearn.joblib": {unknown, 4}, "matrix.joblib": {unknown, 1},
	} {
		b := fixture(t, name)
		s := scan(t, b)
		if d := cmp.Diff(want.rules, s.rules()); d != "" {
			t.Errorf("%s: %s\n%+v", name, d, s.findings)
		}
		if len(s.Arrays) != want.arrays || !s.Listed || s.End != int64(len(b)) {
			t.Errorf("%s: %d arrays, all %v, end %d of %d", name, len(s.Arrays), s.Listed, s.End, len(b))
		}
	}
}

func TestArrays(t *testing.T) {
	b := fixture(t, "arrays-4.joblib")
	s := scan(t, b)
	var got []joblib.Array
	for _, a := range s.Arrays {
		if a.Offset <= 0 || a.Offset+a.Size > int64(len(b)) {
			t.Errorf("%s is at %d", a.Name, a.Offset)
		}
		if a.Name == "float64" {
			// The numbers from 0 to 5.
			if last := b[a.Offset+a.Size-8 : a.Offset+a.Size]; !bytes.Equal(last, []byte{0, 0, 0, 0, 0, 0, 0x14, 0x40}) {
				t.Errorf("the last element is %x", last)
			}
		}
		a.Offset = 0
		got = append(got, a)
	}
	want := []joblib.Array{
		{Name: "float64", DType: "<f8", Shape: []uint64{2, 3}, Size: 48},
		{Name: "fortran", DType: "<i4", Shape: []uint64{2, 3}, Size: 24},
		{Name: "big_endian", DType: ">f4", Shape: []uint64{3}, Size: 12},
		{Name: "text", DType: "<U2", Shape: []uint64{2}, Size: 16},
		{Name: "records", DType: "|V8", Shape: []uint64{3}, Size: 24},
		{Name: "time", DType: "<M8", Shape: []uint64{1}, Size: 8},
		{Name: "empty", DType: "<f8", Shape: []uint64{0, 4}, Size: 0},
		{Name: "rank0", DType: "<i8", Shape: []uint64{}, Size: 8},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// What hack/fixtures/joblib_versions.py wrote is read alike, whether there is padding
// before the bytes, as from joblib 1.2 on, or none.
func TestVersions(t *testing.T) {
	want := []joblib.Array{
		{Name: "weights", DType: "<f8", Shape: []uint64{2, 3}, Size: 48},
		{Name: "layers.0", DType: "<f4", Shape: []uint64{3, 2}, Size: 24},
		{Name: "layers.1", DType: "<f2", Shape: []uint64{3}, Size: 6},
		{Name: "shared", DType: "<i4", Shape: []uint64{5}, Size: 20},
		{Name: "again", DType: "<i4", Shape: []uint64{5}, Size: 20},
		{Name: "names", DType: "<U2", Shape: []uint64{2}, Size: 16},
		{Name: "objects", DType: "|O8", Shape: []uint64{2}, Objects: true},
		{Name: "last", DType: ">f8", Shape: []uint64{2}, Size: 16},
	}
	ends := map[string]string{ // of the bytes
		"weights": "\x00\x00\x00\x00\x00\x00\x14\x40", "layers.0": "\x00\x00\xa0\x40", "layers.1": "\x00\x3c\x00\x40", "shared": "\x04\x00\x00\x00",
		"again": "\x04\x00\x00\x00", "names": "b\x00\x00\x00c\x00\x00\x00", "objects": ".", "last": "\x3f\xf0\x00\x00\x00\x00\x00\x00",
	}
	for _, version := range []string{"0.10.3", "1.1.1", "1.5.3"} {
		for protocol := range 6 {
			name := fmt.Sprintf("%s-%d.joblib", version, protocol)
			b, err := os.ReadFile(filepath.Join("testdata", "versions", name))
			if err != nil {
				t.Fatal(err)
			}
			s := scan(t, b)
			if len(s.findings) > 0 || !s.Listed || s.End != int64(len(b)) {
				t.Errorf("%s: all %v, end %d of %d, %+v", name, s.Listed, s.End, len(b), s.findings)
			}
			for i, a := range s.Arrays {
				if !bytes.HasSuffix(b[:a.Offset+a.Size], []byte(ends[a.Name])) {
					t.Errorf("%s: %s is not at %d", name, a.Name, a.Offset)
				}
				if s.Arrays[i].Offset = 0; a.Objects {
					s.Arrays[i].Size = 0 // differs with the length of the name of a class
				}
			}
			if d := cmp.Diff(want, s.Arrays); d != "" {
				t.Errorf("%s: %s", name, d)
			}
		}
	}
}

// An array that is used twice is one, where NumPy pickled it too.
func TestSharedArrayOfNumPy(t *testing.T) {
	array := global("numpy.core.multiarray", "_reconstruct") + tuple(global("numpy", "ndarray"), tuple(num(0)), "C\x01b") + "R" +
		tuple(num(1), tuple(num(1)), f8, "\x89", "C\x08........") + "b\x94"
	s := scan(t, file("](", array, "h\x00", "e"))
	want := []joblib.Array{{Name: "0", DType: "<f8", Shape: []uint64{1}, Offset: -1, Size: 8}}
	if d := cmp.Diff(want, s.Arrays); d != "" {
		t.Error(d, s.findings)
	}
}

func TestTypeName(t *testing.T) {
	for dtype, want := range map[string]string{
		"<f8": "float64", ">f4": "float32", "f2": "float16", "|b1": "bool", "|i1": "int8", "|u1": "uint8", "<c16": "complex128",
		"<U2": "<U2", "|V8": "|V8", "|O8": "|O8", "<M8": "<M8", "": "", "|": "|",
	} {
		if got := (&joblib.Array{DType: dtype}).TypeName(); got != want {
			t.Errorf("%q: %q, want %q", dtype, got, want)
		}
	}
}

// The pieces of a pickle that is put together by hand.

func str(s string) string { return string([]byte{0x8c, byte(len(s))}) + s }

func num(n int32) string { return "J" + string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }

func global(module, name string) string { return str(module) + str(name) + "\x93" }

func tuple(items ...string) string { return "(" + strings.Join(items, "") + "t" }

// dtype is numpy.dtype(name) with a state, or without one when it is empty.
func dtype(name, state string) string {
	s := global("numpy", "dtype") + tuple(str(name), "\x89", "\x88") + "R"
	if state != "" {
		s += state + "b"
	}
	return s
}

// state is that of a type without fields.
func state(size, flags int32) string {
	return tuple(num(3), str("<"), "N", "N", "N", num(size), num(-1), num(flags))
}

const wrapperModule, wrapperName = "joblib.numpy_pickle", "NumpyArrayWrapper"

// array is a wrapper with the given attributes, by turns names and values.
func array(attributes ...string) string {
	s := global(wrapperModule, wrapperName) + ")\x81}("
	for i := 0; i < len(attributes); i += 2 {
		s += str(attributes[i]) + attributes[i+1]
	}
	return s + "ub"
}

func shaped(shape, dtype string) string { return array("shape", shape, "dtype", dtype) }

func file(parts ...string) []byte { return []byte("\x80\x04" + strings.Join(parts, "") + ".") }

var f8 = dtype("f8", state(-1, 0))

// evil is what a reader must see behind an array.
var evil = "0" + global("os", "system") + str("true") + "\x85R"

func TestSeesBehindArrays(t *testing.T) {
	for name, tt := range map[string]struct {
		array string
		size  int
	}{
		"numbers":            {shaped(tuple(num(3)), f8), 24},
		"without a state":    {shaped(tuple(num(3)), dtype("i2", "")), 6},
		"rank 0":             {shaped(")", f8), 8},
		"empty":              {shaped(tuple(num(0), num(9)), f8), 0},
		"text":               {shaped(tuple(num(3)), dtype("U5", state(20, 8))), 60},
		"bytes":              {shaped(tuple(num(3)), dtype("S5", state(5, 0))), 15},
		"another size":       {shaped(tuple(num(3)), dtype("V7", state(9, 0))), 27},
		"all attributes":     {array("subclass", global("numpy", "ndarray"), "shape", tuple(num(3)), "order", str("C"), "dtype", f8, "allow_mmap", "\x88"), 24},
		"no alignment":       {array("shape", tuple(num(3)), "dtype", f8, "numpy_array_alignment_bytes", "N"), 24},
		"fields":             {shaped(tuple(num(2)), dtype("V12", tuple(num(3), str("|"), "N", tuple(str("a")), "}("+str("a")+tuple(f8, num(0))+"u", num(12), num(1), num(16)))), 24},
		"time with its unit": {shaped(tuple(num(1)), dtype("M8", tuple(num(4), str("<"), "N", "N", "N", num(-1), num(-1), num(0), tuple("}", tuple("C\x02ns", num(1), num(1), num(1)))))), 8},
	} {
		// The data is full of opcodes that would end the pickle.
		b := file(tt.array, strings.Repeat(".", tt.size), evil)
		s := scan(t, b)
		if d := cmp.Diff([]string{"pickle-dangerous-global"}, s.rules()); d != "" || !s.Whole {
			t.Errorf("%s: %s %+v", name, d, s.findings)
		}
		if len(s.Arrays) != 1 || s.Arrays[0].Size != int64(tt.size) {
			t.Errorf("%s: %+v", name, s.Arrays)
		}
	}
	padded := array("shape", tuple(num(2)), "dtype", f8, "numpy_array_alignment_bytes", num(16))
	s := scan(t, file(padded, "\x05.....", strings.Repeat(".", 16), evil))
	if d := cmp.Diff([]string{"pickle-dangerous-global"}, s.rules()); d != "" {
		t.Error("padding:", d, s.findings)
	}
}

// An array of objects is a pickle of its own, in which wrappers mean nothing.
func TestArrayOfObjects(t *testing.T) {
	objects := shaped(tuple(num(1)), dtype("O8", state(-1, 63)))
	s := scan(t, file(objects, "\x80\x02N.", evil))
	if d := cmp.Diff([]string{"pickle-dangerous-global"}, s.rules()); d != "" || !s.Whole {
		t.Error(d, s.findings)
	}
	s = scan(t, file(objects, "\x80\x02cos\nsystem\n."))
	if d := cmp.Diff([]string{"pickle-dangerous-global"}, s.rules()); d != "" || !s.Whole {
		t.Error(d, s.findings)
	}
	s = scan(t, file(objects, "\x80\x04", shaped(tuple(num(1)), f8), "."))
	if d := cmp.Diff([]string{"pickle-dangerous-global"}, s.rules()); d != "" {
		t.Error("a wrapper in an array:", d, s.findings)
	}
}

// scalar is a pickle of a number of NumPy, which takes any state and does nothing with it.
const scalar = "\x80\x02cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(X\x02\x00\x00\x00f8\x89\x88tRU\x08........tR."

// What came of a wrapper is none: no data follow when it is given another state, and
// what stands there is opcodes.
func TestStateOfAnArray(t *testing.T) {
	objects := shaped(tuple(num(1)), dtype("O8", state(-1, 63)))
	state := "}(" + str("shape") + tuple(num(3)) + str("dtype") + f8 + "ub"
	s := scan(t, file(objects, scalar, state, "cos\nsystem\n(S'true'\ntR0"))
	if d := cmp.Diff([]string{"pickle-dangerous-global"}, s.rules()); d != "" || len(s.Arrays) != 1 {
		t.Error(d, s.findings)
	}
}

// A wrapper that is given a state twice has what both say: padding by the first one.
func TestWrapperTwice(t *testing.T) {
	attributes := "}(" + str("shape") + tuple(num(1)) + str("dtype") + f8
	wrapper := global(wrapperModule, wrapperName) + ")\x81q\x00"
	first := wrapper + attributes + str("numpy_array_alignment_bytes") + num(16) + "ub\x00........"
	s := scan(t, file("](", first, "h\x00", attributes, "ub", "\x07.......N0N0N0N0", "e"))
	if hazard.Judge(s.findings) != hazard.Incomplete || s.Whole || s.Listed {
		t.Errorf("whole %v, %+v", s.Whole, s.findings)
	}
}

// A type or a wrapper that a function passes on is changed under another name.
func TestPassedOn(t *testing.T) {
	wrapper, attributes := global(wrapperModule, wrapperName)+")\x81", "}("+str("shape")+tuple(num(3))+str("dtype")+dtype("i1", "")+"ub"
	v1, size := dtype("V1", state(1, 0))+"q\x00", state(3, 0)
	for _, tt := range []struct{ name, pickle, rule string }{
		{"a wrapper that is an object", global("numpy", "object_") + wrapper + "\x85R" + attributes, "pickle-limit"},
		{"a wrapper that is a scalar", global("numpy.core.multiarray", "scalar") + dtype("O8", "") + wrapper + "\x86R" + attributes, "pickle-dangerous-global"},
		{"a type of a type", v1 + "0" + global("numpy", "dtype") + "h\x00\x85R" + size + "b0" + shaped(tuple(num(1)), "h\x00") + "\xff", "pickle-limit"},
		{"a type of a pair", v1 + "0" + global("numpy", "dtype") + "h\x00)\x86\x85R" + size + "b0" + shaped(tuple(num(1)), "h\x00") + "\xff", "pickle-limit"},
		{"a type of one by name", v1 + "0" + global("numpy", "dtype") + ")}" + str("dtype") + "h\x00s\x92" + size + "b0" + shaped(tuple(num(1)), "h\x00") + "\xff", "pickle-limit"},
		{"a type of a list", shaped(tuple(num(1)), global("numpy", "dtype")+"](N"+str("V1")+"eR") + "\xff", "pickle-limit"},
	} {
		// NumPy takes three bytes for the array, so that what is a literal otherwise are
		// opcodes to it.
		s := scan(t, file(tt.pickle, "C\x18"+"0cos\nsystem\n(S'true'\ntR0"))
		if !slices.Contains(s.rules(), tt.rule) {
			t.Errorf("%s: %+v", tt.name, s.findings)
		}
	}
}

// A wrapper that is too long ago is not forgotten to be one.
func TestWrapperFarAway(t *testing.T) {
	texts := strings.Repeat("X\x00\x10\x00\x00"+strings.Repeat("x", 4096)+"0", 5<<20/4096) // as much as is kept
	wrapper := global(wrapperModule, wrapperName) + ")\x81"
	s := scan(t, file(texts, strings.Repeat("]0", 300), wrapper, strings.Repeat("]0", 300), "}(", str("shape"), tuple(num(1)), str("dtype"), f8, "ub........"))
	if d := cmp.Diff([]string{"pickle-array-unread"}, s.rules()); d != "" {
		t.Error(d, s.findings)
	}
}

// A wrapper whose array has a size that is not certain is not stepped over: what
// follows would be read at another place than the loader reads it.
func TestUncertainArrays(t *testing.T) {
	good := tuple(num(3))
	for _, tt := range []struct{ name, array, message string }{
		{"no attributes", array(), "it has no shape or no type"},
		{"no type", array("shape", good), "it has no shape or no type"},
		{"no shape", array("dtype", f8), "it has no shape or no type"},
		{"state that is no dictionary", global(wrapperModule, wrapperName) + ")\x81" + tuple("N", "N") + "b", "its attributes are not known"},
		{"another attribute", array("shape", good, "dtype", f8, "read", global("builtins", "list")), `it has the attribute "read", which joblib does not write`},
		{"attribute that is no text", global(wrapperModule, wrapperName) + ")\x81}(K\x01Nub", `it has the attribute "", which joblib does not write`},
		{"made by a call", global(wrapperModule, wrapperName) + tuple("N", "N", "N", "N") + "R}(" + str("shape") + good + str("dtype") + f8 + "ub", "it was made with attributes, which joblib does not write"},
		{"made by a call with a list", global(wrapperModule, wrapperName) + "](NNNNeR}(" + str("shape") + good + str("dtype") + f8 + "ub", "it was made with attributes, which joblib does not write"},
		{"made by way of another class", global("copyreg", "_reconstructor") + tuple(global(wrapperModule, wrapperName), global("numpy", "ndarray"), "N") + "R}(" + str("shape") + good + str("dtype") + f8 + "ub", "it was made with attributes, which joblib does not write"},
		{"attribute twice", array("shape", good, "shape", tuple(num(0)), "dtype", f8), `it has the attribute "shape" twice`},
		{"shape that is a list", shaped("](K\x03e", f8), "its shape is no tuple of numbers"},
		{"shape that is negative", shaped(tuple(num(-1), num(-1)), f8), "its shape is no tuple of numbers"},
		{"shape that is computed", shaped(tuple(global("builtins", "int")+")R"), f8), "its shape is no tuple of numbers"},
		{"shape of too many dimensions", shaped("("+strings.Repeat(num(1), 65)+"t", f8), "its shape is no tuple of numbers"},
		{"shape that is too large", shaped(tuple(num(1<<30), num(1<<30), num(1<<30)), f8), "an array of the shape [1073741824 1073741824 1073741824] follows, which has too many elements"},
		{"type that is a text", shaped(good, str("f8")), "its type is no numpy.dtype"},
		{"type of another class", shaped(good, global("collections", "OrderedDict")+")R"), "its type is no numpy.dtype"},
		{"type without a name", shaped(good, global("numpy", "dtype")+")R"), "its type has no name"},
		{"type of several", shaped(good, dtype("f8,f8", "")), `its type "f8,f8" is not known`},
		{"type without a size", shaped(good, dtype("f", "")), `its type "f" is not known`},
		{"type of another letter", shaped(good, dtype("T16", "")), `its type "T16" is not known`},
		{"type with a sign", shaped(good, dtype("f+8", "")), `its type "f+8" is not known`},
		{"type of a large number", shaped(good, dtype("f99", "")), `its type "f99" is not known`},
		{"state of another length", shaped(good, dtype("f8", tuple(num(3), str("<")))), "the state of its type is not known"},
		{"state whose size is computed", shaped(good, dtype("S5", tuple(num(3), str("|"), "N", "N", "N", "N", num(1), num(0)))), "the state of its type is not known"},
		{"text without a size", shaped(good, dtype("S5", state(-1, 0))), "its type has no size"},
		{"flags that say objects", shaped(good, dtype("f8", state(-1, 63))), "the flags of its type are not those that NumPy writes"},
		{"flags that say no objects", shaped(good, dtype("O8", state(-1, 0))), "the flags of its type are not those that NumPy writes"},
		{"fields that say no objects", shaped(good, dtype("V8", tuple(num(3), str("|"), "N", tuple(str("a")), "}("+str("a")+tuple(dtype("O8", state(-1, 63)), num(0))+"u", num(8), num(1), num(0)))), "the flags of its type are not those that NumPy writes"},
		{"fields that are no types", shaped(good, dtype("V8", tuple(num(3), str("|"), "N", tuple(str("a")), "}("+str("a")+"Nu", num(8), num(1), num(0)))), "the fields of its type are not known"},
		{"fields in fields", shaped(good, deep(10)), "its type has fields in fields, more than 8 deep"},
		{"a type of arrays", shaped(good, dtype("V1", tuple(num(3), str("|"), tuple(f8, tuple(num(9))), "N", "N", num(72), num(1), num(0)))), "its type has parts, which NumPy does not write of such a type"},
		{"a type of arrays of another size", shaped(good, dtype("V1", tuple(num(3), str("|"), tuple(f8, tuple(num(9))), "N", "N", num(1), num(1), num(0)))), "its type is of arrays of another size"},
		{"a number of arrays", shaped(good, dtype("f8", tuple(num(3), str("<"), tuple(f8, tuple(num(9))), "N", "N", num(-1), num(-1), num(0)))), "its type has parts, which NumPy does not write of such a type"},
		{"a number with fields", shaped(good, dtype("f8", tuple(num(3), str("<"), "N", tuple(str("a")), "}("+str("a")+tuple(dtype("O8", ""), num(0))+"u", num(-1), num(-1), num(0)))), "its type has parts, which NumPy does not write of such a type"},
		{"fields that a second state hides", shaped(good, dtype("V8", tuple(num(3), str("|"), "N", tuple(str("a")), "}("+str("a")+tuple(dtype("O8", ""), num(0))+"u", num(8), num(1), num(27)))+state(8, 0)+"b"), "its type was given a state twice"},
		{"objects in a map of the file", array("shape", good, "dtype", dtype("O8", state(-1, 63)), "allow_mmap", "\x88"), "it is of objects, and a map of the file"},
		{
			"state by another call", global("torch._tensor", "_rebuild_from_type_v2") + tuple(global("copyreg", "_reconstructor"), global(wrapperModule, wrapperName),
				tuple(global(wrapperModule, wrapperName), global("builtins", "object"), "N"), "}"+str("numpy_array_alignment_bytes")+num(16)+"s") + "R}(" + str("shape") + good + str("dtype") + f8 + "ub",
			"an array follows whose wrapper was one before: what it is made of comes from both",
		},
		{"alignment that is no number", array("shape", good, "dtype", f8, "numpy_array_alignment_bytes", str("x")), "its alignment is no number"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := scan(t, file(tt.array, strings.Repeat(".", 24), evil))
			last := s.findings[len(s.findings)-1]
			if last.Rule != "pickle-array-unread" || !strings.HasSuffix(last.Message, tt.message) || s.Whole || s.Listed {
				t.Errorf("whole %v, all %v, %+v", s.Whole, s.Listed, s.findings)
			}
		})
	}
}

// deep is a type with fields in fields.
func deep(n int) string {
	if n == 0 {
		return f8
	}
	return dtype("V8", tuple(num(3), str("|"), "N", tuple(str("a")), "}("+str("a")+tuple(deep(n-1), num(0))+"u", num(8), num(1), num(0)))
}

// The loader takes the data from behind the frame: in the middle of one, it is another
// than what follows the opcode.
func TestArrayInFrame(t *testing.T) {
	body := shaped(tuple(num(1)), f8) + strings.Repeat(".", 8) + "."
	frame := "\x95" + string(binary.LittleEndian.AppendUint64(nil, uint64(len(body))))
	s := scan(t, []byte("\x80\x04"+frame+body))
	if !slices.Contains(s.rules(), "pickle-frame") {
		t.Errorf("%+v", s.findings)
	}
}

func TestTruncatedArrays(t *testing.T) {
	for name, b := range map[string][]byte{
		"data":    file(shaped(tuple(num(1000)), f8), "short"),
		"padding": []byte("\x80\x04" + array("shape", tuple(num(2)), "dtype", f8, "numpy_array_alignment_bytes", num(16))),
		"objects": []byte("\x80\x04" + shaped(tuple(num(1)), dtype("O8", state(-1, 63))) + "\x80\x02"),
	} {
		s := scan(t, b)
		if hazard.Judge(s.findings) != hazard.Incomplete || s.Whole {
			t.Errorf("%s: %+v", name, s.findings)
		}
	}
}

// Arrays that NumPy pickled are listed too, in every protocol.
func TestArraysOfNumPy(t *testing.T) {
	for protocol := range 6 {
		b, err := os.ReadFile(filepath.Join("..", "pickle", "testdata", "python", fmt.Sprintf("numpy-%d.pkl", protocol)))
		if err != nil {
			t.Fatal(err)
		}
		s := scan(t, b)
		want := []joblib.Array{
			{Name: "float64", DType: "<f8", Shape: []uint64{2, 3}, Offset: -1, Size: 48},
			{Name: "fortran", DType: "<i4", Shape: []uint64{2, 3}, Offset: -1, Size: 24},
			{Name: "big_endian", DType: ">f4", Shape: []uint64{3}, Offset: -1, Size: 12},
			{Name: "text", DType: "<U2", Shape: []uint64{2}, Offset: -1, Size: 16},
			{Name: "records", DType: "|V8", Shape: []uint64{3}, Offset: -1, Size: 24},
			{Name: "time", DType: "<M8", Shape: []uint64{1}, Offset: -1, Size: 8},
			{Name: "empty", DType: "<f8", Shape: []uint64{0, 4}, Offset: -1},
			{Name: "rank0", DType: "<i8", Shape: []uint64{}, Offset: -1, Size: 8},
		}
		if d := cmp.Diff(want, s.Arrays); d != "" || !s.Listed {
			t.Errorf("protocol %d, all %v: %s", protocol, s.Listed, d)
		}
	}
}
