package hdf5_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/hdf5"
)

// seen is what a walk told of.
type seen struct {
	groups     []string
	datasets   []hdf5.Dataset
	attributes []hdf5.Attribute
	findings   []string
}

func walk(t testing.TB, b []byte) (*seen, error) {
	s := &seen{}
	err := hdf5.Walk(t.Context(), bytes.NewReader(b), int64(len(b)), hdf5.Visitor{
		Group:     func(path string) error { s.groups = append(s.groups, path); return nil },
		Dataset:   func(d hdf5.Dataset) error { s.datasets = append(s.datasets, d); return nil },
		Attribute: func(a hdf5.Attribute) error { s.attributes = append(s.attributes, a); return nil },
		Finding: func(f hazard.Finding) {
			if hazard.RuleOf(f.Rule).ID == "" {
				t.Errorf("no rule %q", f.Rule)
			}
			s.findings = append(s.findings, strings.TrimSpace(f.Rule+" "+f.Message))
		},
	})
	return s, err
}

func fixture(t testing.TB, name string) []byte {
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// listing is what h5py said of a fixture when it was made.
type listing struct {
	Datasets []listed          `json:"datasets"`
	Texts    map[string]string `json:"texts"`
}

type listed struct {
	Path     string   `json:"path"`
	Shape    []uint64 `json:"shape"`
	ItemSize int64    `json:"itemsize"`
	Offset   int64    `json:"offset"`
	Chunked  bool     `json:"chunked"`
}

func TestWalkFindsWhatTheLibraryDoes(t *testing.T) {
	names, err := filepath.Glob("testdata/*.json")
	if err != nil || len(names) < 10 {
		t.Fatalf("%d fixtures, %v", len(names), err)
	}
	for _, name := range names {
		base := strings.TrimSuffix(filepath.Base(name), ".json")
		t.Run(base, func(t *testing.T) {
			var want listing
			if err := json.Unmarshal(fixture(t, base+".json"), &want); err != nil {
				t.Fatal(err)
			}
			b := fixture(t, base+".h5")
			s, err := walk(t, b)
			if err != nil {
				t.Fatal(err)
			}
			if diff := gocmp.Diff(want.Texts, texts(b, s.attributes)); diff != "" {
				t.Errorf("texts (-h5py +got):\n%s", diff)
			}
			if diff := gocmp.Diff(want.Datasets, list(s.datasets, want.Datasets)); diff != "" {
				t.Errorf("data sets (-h5py +got):\n%s", diff)
			}
			if !strings.HasPrefix(base, "external") && !strings.HasPrefix(base, "virtual") && len(s.findings) > 0 {
				t.Errorf("findings: %q", s.findings)
			}
		})
	}
}

// texts returns the texts of attributes whole, from where they stand in the file.
func texts(b []byte, attributes []hdf5.Attribute) map[string]string {
	out := map[string]string{}
	for _, a := range attributes {
		if a.Size >= 0 {
			text := string(bytes.TrimRight(b[a.Offset:a.Offset+a.Size], "\x00"))
			out[strings.TrimSuffix(a.Object, "/")+"@"+a.Name] = text
		}
	}
	return out
}

// list brings data sets into the form of h5py, which knows no place of compact ones.
func list(datasets []hdf5.Dataset, want []listed) []listed {
	out := []listed{}
	for _, d := range datasets {
		l := listed{Path: d.Path, Shape: d.Shape, Offset: d.Offset, Chunked: d.Layout == "chunked", ItemSize: 1}
		if l.Shape == nil {
			l.Shape = []uint64{}
		}
		if d.Layout == "compact" {
			l.Offset = -1
		}
		n := int64(1)
		for _, dim := range d.Shape {
			n *= int64(dim)
		}
		i := slices.IndexFunc(want, func(w listed) bool { return w.Path == d.Path })
		if l.ItemSize = d.Size / n; i >= 0 && (d.Size < 0 || d.Size == 0) { // variable text, or nothing
			l.ItemSize = want[i].ItemSize
		}
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b listed) int { return cmp.Compare(a.Path, b.Path) })
	return out
}

func TestWalkTypes(t *testing.T) {
	got := map[string]string{}
	for _, name := range []string{"kinds.h5", "model-latest.h5"} {
		s, err := walk(t, fixture(t, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range s.datasets {
			got[d.Path] = strings.TrimSpace(d.Type + " " + d.Layout + " " + strings.Join(d.Filters, "+"))
		}
	}
	want := map[string]string{
		"/committed": "float64 contiguous", "/complex": "compound contiguous", "/bool": "enum8 contiguous", "/null": "float32 contiguous",
		"/opaque": "opaque contiguous", "/big": "uint16 contiguous", "/compact": "int8 compact", "/again": "float64 contiguous",
		"/model_weights/dense/kernel:0": "float32 contiguous", "/model_weights/dense/bias:0": "float16 contiguous",
		"/model_weights/dense/chunked": "int32 chunked shuffle+gzip", "/model_weights/dense/bytes": "uint8 contiguous",
		"/model_weights/dense/names": "string contiguous",
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWalkReportsOtherFiles(t *testing.T) {
	for name, want := range map[string][]string{
		"external.h5": {`hdf5-external the data are in the file "/etc/passwd"`, `hdf5-external the link "link" leads to the file "/etc/hostname"`},
		"virtual.h5":  {`hdf5-external the data are in the file "/etc/passwd"`},
	} {
		s, err := walk(t, fixture(t, name))
		slices.Sort(s.findings)
		if diff := gocmp.Diff(want, s.findings); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

// patch overwrites bytes behind the nth place of a mark.
func patch(b []byte, mark string, nth, at int, with string) []byte {
	from := 0
	for ; nth >= 0; nth-- {
		i := bytes.Index(b[from:], []byte(mark))
		if i < 0 {
			panic("no " + mark)
		}
		from += i + len(mark)
	}
	b = slices.Clone(b)
	copy(b[from-len(mark)+at:], with)
	return b
}

func TestWalkMalformed(t *testing.T) {
	old, latest, many, ordered := fixture(t, "model-earliest.h5"), fixture(t, "model-latest.h5"), fixture(t, "many-latest.h5"), fixture(t, "many-ordered.h5")
	const none = "\xff\xff\xff\xff\xff\xff\xff\xff"
	const far = "\x00\x00\x00\x00\x00\x00\x00\x10"
	tests := []struct {
		name string
		file []byte
		want string // of an error, or of a finding
	}{
		{"empty", nil, "no superblock"},
		{"text", []byte(strings.Repeat("text", 1000)), "no superblock"},
		{"cut in the superblock", old[:20], "bytes are needed"},
		{"unknown superblock", patch(old, hdf5.Signature, 0, 8, "\x04"), "superblock of version 4 is not known"},
		{"addresses of 3 bytes", patch(old, hdf5.Signature, 0, 13, "\x03"), "addresses of 3 and lengths of 8 bytes"},
		{"lengths of 0 bytes", patch(latest, hdf5.Signature, 0, 10, "\x00"), "addresses of 8 and lengths of 0 bytes"},
		{"root is far", patch(old, hdf5.Signature, 0, 0x40, far), "is beyond the file"},
		{"root is nowhere", patch(old, hdf5.Signature, 0, 0x40, none), "object without an address"},
		{"root is no object", patch(old, hdf5.Signature, 0, 0x40, "\x00"), "object header of version 137 is not known"},
		{"header is longer than the file", patch(old, hdf5.Signature, 0, 0x68, "\xff\xff\xff\x7f"), "object header of 2147483647 bytes ends beyond the file"},
		{"message is longer than the header", patch(old, hdf5.Signature, 0, 0x72, "\xff\xff"), "message of 65535 bytes"},
		{"tree is no tree", patch(old, "TREE", 0, 0, "TREF"), "no node of a tree of links is here"},
		{"node of another level", patch(old, "TREE", 0, 5, "\x01"), "no node of a tree of links is here"},
		{"child is far", patch(old, "TREE", 0, 32, far), "is beyond the file"},
		{"child is nowhere", patch(old, "TREE", 0, 32, none), "node of a tree without an address"},
		{"leaf of another version", patch(old, "SNOD", 0, 4, "\x02"), "SNOD of version 2 is not known"},
		{"leaf is cut", patch(old, "SNOD", 0, 6, "\xff\xff"), "a name at byte"},
		{"name is behind the heap", patch(old, "SNOD", 0, 8, "\xff\xff\xff\x7f"), "a name at byte 2147483647 of a heap"},
		{"heap of another version", patch(old, "HEAP", 0, 4, "\x01"), "HEAP of version 1 is not known"},
		{"heap is larger than the file", patch(old, "HEAP", 0, 8, far), "does not fit the file"},
		{"collection is none", patch(old, "GCOL", 0, 0, "GCOM"), `no "GCOL" is here`},
		{"collection is larger than the file", patch(old, "GCOL", 0, 8, far), "ends beyond the file"},
		{"text is not in the collection", patch(old, "GCOL", 0, 16, "\x63"), "object 1 is not in its collection"},
		{"new header of another version", patch(latest, "OHDR", 0, 4, "\x03"), "object header of version 3 is not known"},
		{"new header is longer than the file", patch(latest, "OHDR", 0, 5, "\x03"), "is longer than the file"},
		{"attribute of another version", patch(latest, "\x03\x00\x0d\x00\x14\x00\x04\x00\x00model_config", 0, 0, "\x09"), "attribute of version 9 is not known"},
		{"type of another version", patch(latest, "model_config\x00", 0, 13, "\xf9"), "type of version 15 is not known"},
		{"heap of attributes is none", patch(many, "FRHP", 0, 0, "FRHQ"), `no "FRHP" is here`},
		{"heap of attributes of another version", patch(many, "FRHP", 0, 4, "\x07"), "FRHP of version 7 is not known"},
		{"heap of 3 blocks in a row", patch(many, "FRHP", 0, 110, "\x03"), "heap of 3 blocks"},
		{"block of a heap is none", patch(many, "FHDB", 0, 0, "FHDC"), `no "FHDB" is here`},
		{"index is none", patch(many, "BTHD", 0, 0, "BTHE"), `no "BTHD" is here`},
		{"index of another kind", patch(many, "BTHD", 0, 5, "\x63"), "tree of kind 99"},
		{"index with nodes of 4 bytes", patch(many, "BTHD", 0, 6, "\x04\x00\x00\x00"), "with nodes of 4 bytes"},
		{"index of great depth", patch(many, "BTHD", 0, 12, "\xff\xff"), "tree of depth 65535"},
		{"index with too many records", patch(many, "BTHD", 0, 24, "\xff\xff"), "node with 65535 records"},
		{"node of the index is none", patch(many, "BTLF", 0, 0, "BTLG"), `no "BT`},
		{"table of a heap is none", patch(ordered, "FHIB", 0, 0, "FHIC"), `no "FHIB" is here`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, err := walk(t, test.file)
			got := s.findings
			if breach, ok := errors.AsType[*hdf5.Error](err); ok {
				got = append(got, "hdf5-malformed "+breach.Error())
			} else if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(got, func(f string) bool { return strings.HasPrefix(f, "hdf5-malformed") && strings.Contains(f, test.want) }) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// A wrong checksum is told, whatever it is of, and what stands there is read all the same.
func TestWalkChecksums(t *testing.T) {
	latest, many, ordered := fixture(t, "model-latest.h5"), fixture(t, "many-latest.h5"), fixture(t, "many-ordered.h5")
	for _, test := range []struct {
		name string
		file []byte
		n    int // of the mark
		mark string
		at   int
		want string
	}{
		{"superblock", latest, 0, hdf5.Signature, 11, "checksum of the superblock is"},
		{"checksum of the superblock", latest, 0, hdf5.Signature, 44, "checksum of the superblock is"},
		{"object header", latest, 0, "OHDR", 6, "checksum of the object header is"},
		{"another object header", latest, 1, "OHDR", 6, "checksum of the object header is"},
		{"continuation of an object header", latest, 0, "OCHK", 7, "checksum of the object header is"},
		{"inner node of a tree", many, 0, "BTIN", 19, "checksum of the node of a tree is"},
		{"tree", many, 0, "BTHD", 14, "checksum of the tree is"},
		{"count of a tree", many, 0, "BTHD", 26, "checksum of the tree is"},
		{"leaf of a tree", many, 1, "BTLF", 19, "checksum of the node of a tree is"},
		{"another tree", ordered, 0, "BTHD", 15, "checksum of the tree is"},
		{"leaf of another tree", ordered, 1, "BTLF", 19, "checksum of the node of a tree is"},
		{"heap", many, 0, "FRHP", 14, "checksum of the heap is"},
		{"objects in a heap", many, 0, "FRHP", 70, "checksum of the heap is"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before, err := walk(t, test.file)
			if err != nil || len(before.findings) > 0 {
				t.Fatal(before.findings, err)
			}
			b := slices.Clone(test.file)
			at := 0
			for range test.n + 1 {
				at += bytes.Index(b[at:], []byte(test.mark)) + 1
			}
			b[at-1+test.at] ^= 1
			after, err := walk(t, b)
			if err != nil || len(after.findings) != 1 || !strings.Contains(after.findings[0], "hdf5-malformed") || !strings.Contains(after.findings[0], test.want) {
				t.Errorf("%q, %v", after.findings, err)
			}
			after.findings = nil
			if !reflect.DeepEqual(before, after) {
				t.Errorf("%+v\nbefore %+v", after, before)
			}
		})
	}
}

// What is too much to sum is said once, and is no breach.
func TestWalkLargeHeader(t *testing.T) {
	const size, root = 5 << 20, 48
	u64, u32 := binary.LittleEndian.AppendUint64, binary.LittleEndian.AppendUint32
	b := append([]byte(hdf5.Signature), 2, 8, 8, 0)
	for _, n := range []uint64{0, 1<<64 - 1, size, root} {
		b = u64(b, n)
	}
	b = u32(b, 0x8ce50354)
	b = append(b, "OHDR\x02\x02"...)
	b = append(u32(b, size), make([]byte, size+4)...)
	s, err := walk(t, b)
	want := []string{"hdf5-unsupported checksums of more than 917504 bytes, or of more than 268435456 in all, are not compared"}
	if err != nil || !slices.Equal(s.findings, want) {
		t.Errorf("%q, %v", s.findings, err)
	}
}

func TestFind(t *testing.T) {
	for name, want := range map[string]int64{"model-latest.h5": 0, "userblock.h5": 1024} {
		b := fixture(t, name)
		at, ok, err := hdf5.Find(bytes.NewReader(b), int64(len(b)))
		if err != nil || !ok || at != want {
			t.Errorf("%s: %d, %v, %v", name, at, ok, err)
		}
	}
	for _, text := range []string{"", "text", strings.Repeat("x", 5000), strings.Repeat("x", 100) + hdf5.Signature} {
		if at, ok, err := hdf5.Find(strings.NewReader(text), int64(len(text))); err != nil || ok {
			t.Errorf("%.10q: %d, %v, %v", text, at, ok, err)
		}
	}
}

func TestScanHandsOnTexts(t *testing.T) {
	b := fixture(t, "model-latest.h5")
	got := map[string]string{}
	c := hazard.OfFile("model.h5", bytes.NewReader(b), int64(len(b)))
	err := hdf5.Scan(t.Context(), c, func(f hazard.Finding) { t.Errorf("%+v", f) }, func(_ context.Context, m hazard.Content) error {
		if m.Depth != 1 || (m.Hint == hazard.InKeras) != (m.Name == "model_config") {
			t.Errorf("%q: depth %d, hint %q", m.Name, m.Depth, m.Hint)
		}
		text := make([]byte, m.Size)
		_, err := m.At.ReadAt(text, 0)
		got[m.Name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(got["model_config"], `"Lambda"`) || got["keras_version"] != "2.11.0" {
		t.Errorf("texts: %q", got)
	}
	if got["model_weights/dense/bytes"] != "cos\nsystem\n." {
		t.Errorf("bytes of a data set: %q", got["model_weights/dense/bytes"])
	}
}

// Groups that lead to each other, and sizes without end, take neither time nor memory.
func TestWalkHostileMemory(t *testing.T) {
	old, latest, many := fixture(t, "model-earliest.h5"), fixture(t, "model-latest.h5"), fixture(t, "many-latest.h5")
	files := map[string][]byte{
		"node leads to itself":     patch(old, "TREE", 0, 32, "\x88\x00\x00\x00\x00\x00\x00\x00"),
		"heap of 2^60 bytes":       patch(old, "HEAP", 0, 8, "\x00\x00\x00\x00\x00\x00\x00\x10"),
		"collection of 2^60 bytes": patch(latest, "GCOL", 0, 8, "\x00\x00\x00\x00\x00\x00\x00\x10"),
		"nodes of 4 GiB":           patch(many, "BTHD", 0, 6, "\xff\xff\xff\xff"),
		"blocks of 2^62 bytes":     patch(many, "FRHP", 0, 112, "\x00\x00\x00\x00\x00\x00\x00\x40"),
	}
	for name, b := range files {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := walk(t, b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 8<<20 {
			t.Errorf("%s: allocated %d bytes", name, got)
		}
	}
}

func FuzzWalk(f *testing.F) {
	names, err := filepath.Glob("testdata/*.h5")
	if err != nil {
		f.Fatal(err)
	}
	const small = 16 << 10 // the fuzzer is slow with large ones
	for _, name := range names {
		if b := fixture(f, filepath.Base(name)); len(b) <= small {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := walk(t, b)
		if _, breach := errors.AsType[*hdf5.Error](err); err != nil && !breach {
			t.Fatal(err)
		}
		for _, a := range s.attributes {
			if a.Size >= 0 && (a.Offset < 0 || a.Offset+a.Size > int64(len(b))) {
				t.Errorf("text at byte %d with %d of %d bytes", a.Offset, a.Size, len(b))
			}
		}
		for _, d := range s.datasets {
			if !strings.HasPrefix(d.Path, "/") {
				t.Errorf("path %q", d.Path)
			}
		}
	})
}
