package numpy_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/numpy"
)

func fixture(t testing.TB, name string) []byte {
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func read(b []byte) (*numpy.Header, error) { return numpy.Read(bytes.NewReader(b), int64(len(b))) }

// array returns an array of version 1 with the given header.
func array(header, data string) []byte {
	b := binary.LittleEndian.AppendUint16([]byte("\x93NUMPY\x01\x00"), uint16(len(header)))
	return append(append(b, header...), data...)
}

// of returns the header of an array with one type.
func of(descr string) string {
	return "{'descr': " + descr + ", 'fortran_order': False, 'shape': (1,), }\n"
}

func TestRead(t *testing.T) {
	tests := []struct {
		name string
		want string
	}{
		{"float32.npy", "1.0 float32 [2 3] data 128+24"},
		{"fortran.npy", "1.0 int64 [2 3] fortran data 128+48"},
		{"scalar.npy", "1.0 float16 [] data 128+2"},
		{"empty.npy", "1.0 bool [0 4] data 128+0"},
		{"text.npy", "1.0 <U3 [2] data 128+24"},
		{"time.npy", "1.0 <M8[D] [1] data 128+8"},
		{"structured.npy", "1.0 [('a', '<f8'), ('b', '|i1', (2, 3)), ('c', [('d', '|S5')])] [2] data 192+38"},
		{"objects.npy", "1.0 |O [3] objects data 128+-1"},
		{"structured-objects.npy", "1.0 [('a', '<f8'), ('b', '|O')] [1] objects data 128+-1"},
		{"version2.npy", "2.0 complex64 [3] data 128+24"},
		{"version3.npy", "3.0 [('π', '<u2')] [3] data 128+6"},
		{"two.npy", "1.0 uint8 [3] data 128+3"},
	}
	for _, test := range tests {
		h, err := read(fixture(t, test.name))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		got := fmt.Sprintf("%d.%d %s %v", h.Major, h.Minor, h.TypeName(), h.Shape)
		if h.Fortran {
			got += " fortran"
		}
		if h.Objects {
			got += " objects"
		}
		got += fmt.Sprintf(" data %d+%d", h.DataOffset, h.Size)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}

// Every spelling of objects that numpy.dtype takes is one of objects here, or an error.
func TestReadSpellingsOfTypes(t *testing.T) {
	for descr, want := range map[string]string{
		"'O'": "objects", "'|O'": "objects", "'<O'": "objects", "'=O8'": "objects", "'object'": "objects", "'i4,O'": "objects",
		"' O , f8'": "objects", "[('a', 'O')]": "objects", "[('a', [('b', 'O', (2,))])]": "objects", "('O', (2,))": "objects",
		"[(('title', 'a'), '|O')]": "objects",
		"'<f4'":                    "4", "'i8'": "8", "'?'": "1", "'|b1'": "1", "'<U2'": "8", "'S0'": "0", "'<f16'": "16", "'V10'": "10", "'f4,i2'": "6",
		"('<f4', (2, 3))": "24", "[('a', '<f4', 3)]": "12", "'bfloat16'": `type "bfloat16" is not known`,
		"'(2,)O'": `type "(2" is not known`, "'object,'": `type "" is not known`, "'<i3'": `type "<i3" is not known`, "'4O'": `type "4O" is not known`,
		"'<f4[D]'": "4",
	} {
		h, err := read(array(of(descr), strings.Repeat("\x00", 64)))
		var got string
		switch {
		case err != nil:
			got = err.Error()
		case h.Objects:
			got = "objects"
		default:
			got = fmt.Sprint(h.ItemSize)
		}
		if !strings.HasSuffix(got, want) {
			t.Errorf("%s: %s, want %s", descr, got, want)
		}
	}
}

func TestReadErrors(t *testing.T) {
	dict := func(text string) []byte { return array(text, "") }
	deep := strings.Repeat("[", 30)
	tests := []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "byte 0: file does not begin with the mark of an array and the length of its header"},
		{"text", []byte("not an array at all"), "byte 0: file does not begin with the mark of an array and the length of its header"},
		{"mark alone", []byte("\x93NUMPY\x01\x00"), "byte 0: file does not begin with the mark of an array and the length of its header"},
		{"version 4", []byte("\x93NUMPY\x04\x00\x00\x00\x00\x00"), "byte 6: version 4.0 is not known"},
		{"length is cut", []byte("\x93NUMPY\x02\x00\x10\x00\x00"), "byte 8: file ends in the length of the header"},
		{"header is longer than the file", []byte("\x93NUMPY\x01\x00\xff\x00{}"), "byte 10: header of 255 bytes ends beyond the file of 12 bytes"},
		{"header of 4 GiB", append([]byte("\x93NUMPY\x02\x00\xff\xff\xff\xff"), make([]byte, 100)...), "byte 12: header of 4294967295 bytes ends beyond the file of 112 bytes"},
		{"no literal", dict("nonsense"), `byte 10: header: 'n' begins no literal of a header`},
		{"ends in the middle", dict("{'descr': '<f4'"), "byte 25: header: entries without a comma between them"},
		{"text does not end", dict("{'descr"), "byte 12: header: it ends in the middle"},
		{"escape at the end", dict(`{'a\'`), "byte 15: header: it ends in the middle"},
		{"list", dict("[]"), "byte 10: header: it is no dictionary of descr, fortran_order and shape"},
		{"too few keys", dict("{'descr': '<f4'}"), "byte 10: header: it is no dictionary of descr, fortran_order and shape"},
		{"other keys", dict("{'a': 1, 'b': 2, 'c': 3}"), "byte 10: header: fortran_order is not True or False"},
		{"key twice", dict("{'a': 1, 'a': 2}"), `byte 22: header: key "a" appears twice`},
		{"key of a number", dict("{1: 1}"), "byte 12: header: a key is no text"},
		{"no colon", dict("{'a' 1}"), `byte 15: header: no colon follows key "a"`},
		{"no comma", dict("{'a': (1 2)}"), "byte 19: header: values without a comma between them"},
		{"something follows", dict("{} {}"), "byte 13: header: something follows the literal"},
		{"too deep", dict(deep), "byte 27: header: it is nested deeper than 16"},
		{"number beyond 2^64", dict("{'a': 99999999999999999999}"), "byte 36: header: a number beyond 2^64"},
		{"negative dimension", dict("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }"), "byte 61: header: '-' begins no literal of a header"},
		{"shape is a list", dict("{'descr': '<f4', 'fortran_order': False, 'shape': [1], }"), "byte 10: header: shape is no tuple of at most 64 numbers"},
		{"shape of text", dict("{'descr': '<f4', 'fortran_order': False, 'shape': ('a',), }"), "byte 10: header: shape has a dimension that is no number from 0 to 2^64"},
		{"65 dimensions", dict("{'descr': '<f4', 'fortran_order': False, 'shape': (" + strings.Repeat("1,", 65) + "), }"), "byte 10: header: shape is no tuple of at most 64 numbers"},
		{"more than 2^63 bytes", dict("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }"), "byte 10: header: the data would have more than 2^63 bytes"},
		{"type is a number", dict(of("4")), "byte 10: header: descr is no name of a type and no list of fields"},
		{"type is unknown", dict(of("'<q4'")), `byte 10: header: type "<q4" is not known`},
		{"type of 2^62 bytes", dict(of("'V4611686018427387904,V1'")), `byte 10: header: type "V4611686018427387904" is not known`},
		{"fields of 2^62 bytes", dict(of("[('a', 'V999999999999999999', (999999999999,))]")), "byte 10: header: an item would have more than 2^62 bytes"},
		{"field without a type", dict(of("[('a',)]")), "byte 10: header: a field is no name with a type"},
		{"field with a shape of text", dict(of("[('a', '<f4', ('x',))]")), "byte 10: header: the shape of a field has a dimension that is no number"},
		{"data are cut", array(of("'<f4'"), "abc"), "byte 68: the data have 4 bytes, 3 are there"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := read(test.file)
			breach, ok := errors.AsType[*numpy.Error](err)
			if !ok {
				t.Fatalf("got %v", err)
			}
			if diff := cmp.Diff(test.want, breach.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func scan(t *testing.T, c hazard.Content) (findings, members []string) {
	t.Helper()
	err := numpy.Scan(t.Context(), c, func(f hazard.Finding) {
		if hazard.RuleOf(f.Rule).ID == "" {
			t.Errorf("no rule %q", f.Rule)
		}
		findings = append(findings, fmt.Sprintf("%s at %d", f.Rule, f.Offset))
	}, func(_ context.Context, m hazard.Content) error {
		if m.Depth != 1 || m.Hint != hazard.InNumPy {
			t.Errorf("%q: depth %d, hint %q", m.Name, m.Depth, m.Hint)
		}
		r, err := m.Open()
		if err != nil {
			return err
		}
		b, err := io.ReadAll(r)
		members = append(members, fmt.Sprintf("%s %.4q", m.Name, b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return findings, members
}

func TestScan(t *testing.T) {
	pickle := []string{`objects.pkl "\x80\x04\x95V"`}
	tests := []struct {
		name              string
		file              []byte
		findings, members []string
	}{
		{"numbers", fixture(t, "float32.npy"), nil, nil},
		{"two arrays", fixture(t, "two.npy"), nil, nil},
		{"objects", fixture(t, "objects.npy"), []string{"numpy-object-array at 0"}, []string{`objects.pkl "\x80\x03cn"`}},
		{"objects in fields", fixture(t, "structured-objects.npy"), []string{"numpy-object-array at 0"}, []string{`objects.pkl "\x80\x03cn"`}},
		{"objects behind numbers", append(array(of("'<f4'"), "abcd"), array(of("'O'"), "\x80\x04\x95V")...), []string{"numpy-object-array at 72"}, pickle},
		{"type that is not known", array(of("'hidden'"), "\x80\x04\x95V"), []string{"numpy-malformed at 10"}, pickle},
		{"header that is no literal", array("{'descr': __import__('os')", "\x80\x04\x95V"), []string{"numpy-malformed at 20"}, pickle},
		{"something behind", array(of("'<f4'"), "abcd\x80\x04."), []string{"numpy-trailing-bytes at 72"}, []string{`bytes-at-72 "\x80\x04."`}},
		{"cut", array(of("'<f4'"), "abc"), []string{"numpy-malformed at 0"}, nil},
		{"version 9", []byte("\x93NUMPY\x09\x00abcdef"), []string{"numpy-malformed at 6"}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			stream := hazard.Content{Size: -1, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(test.file)), nil }}
			for _, c := range []hazard.Content{hazard.OfFile("a.npy", bytes.NewReader(test.file), int64(len(test.file))), stream} {
				findings, members := scan(t, c)
				if diff := cmp.Diff(test.findings, findings); diff != "" {
					t.Errorf("findings (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(test.members, members); diff != "" {
					t.Errorf("members (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestArrays(t *testing.T) {
	for name, want := range map[string][]string{
		"float32.npy":  {" float32 [2 3]  128"},
		"stored.npz":   {"x int64 [3] x.npy 183", "y float16 [2 2] y.npy 390"},
		"deflated.npz": {"x float32 [1000] x.npy -1"},
	} {
		var got []string
		b := fixture(t, name)
		err := numpy.Arrays(t.Context(), bytes.NewReader(b), int64(len(b)), func(a numpy.Array) error {
			got = append(got, fmt.Sprintf("%s %s %v %s %d", a.Name, a.TypeName(), a.Shape, a.Member, a.Offset))
			return nil
		})
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

func TestReadHostileMemory(t *testing.T) {
	header := "{'descr': [" + strings.Repeat("('a', 'f4'), ", 70_000) + "], 'fortran_order': False, 'shape': (), }"
	large := binary.LittleEndian.AppendUint32([]byte("\x93NUMPY\x02\x00"), uint32(len(header)))
	large = append(large, header...)
	huge := append([]byte("\x93NUMPY\x03\x00\xff\xff\xff\xff"), 0)
	for name, test := range map[string]struct {
		file []byte
		size int64
	}{
		"70,000 fields":                     {large, int64(len(large))},
		"a header of 4 GiB in a large file": {huge, 8 << 30},
		"nothing but nesting":               {array(strings.Repeat("([{", 20_000), ""), 60_012},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := numpy.Read(bytes.NewReader(test.file), test.size); err == nil {
			t.Errorf("%s: accepted", name)
		}
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 32<<20 {
			t.Errorf("%s: allocated %d bytes", name, got)
		}
	}
}

func FuzzScan(f *testing.F) {
	names, err := filepath.Glob("testdata/*.npy")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		f.Add(fixture(f, filepath.Base(name)))
	}
	for _, descr := range []string{"'O'", "[('a', 'O', (2,))]", "'i4,O'", "('<f4', (2, 3))"} {
		f.Add(array(of(descr), "N."))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := read(b)
		if _, breach := errors.AsType[*numpy.Error](err); err != nil && !breach {
			t.Fatal(err)
		}
		if err == nil && !h.Objects && h.DataOffset+h.Size > int64(len(b)) {
			t.Errorf("data at byte %d with %d of %d bytes", h.DataOffset, h.Size, len(b))
		}
		findings := 0
		err = numpy.Scan(t.Context(), hazard.OfFile("a.npy", bytes.NewReader(b), int64(len(b))), func(hazard.Finding) { findings++ },
			func(context.Context, hazard.Content) error {
				findings++
				return nil
			})
		if err != nil {
			t.Fatal(err)
		}
		if h == nil && findings == 0 {
			t.Error("neither an array nor a finding")
		}
	})
}
