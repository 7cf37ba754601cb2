package torch_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/pickle"
	"github.com/modseal/modseal/pkg/modelfile/torch"
	"github.com/modseal/modseal/pkg/modelfile/zipfile"
)

func fixture(t testing.TB, name string) []byte {
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tensors returns the model and its tensors, each with the numbers that stand at its
// place.
func tensors(t testing.TB, b []byte) (*torch.Model, map[string]string) {
	t.Helper()
	got := map[string]string{}
	m, err := torch.Tensors(t.Context(), bytes.NewReader(b), int64(len(b)), true, func(x torch.Tensor) error {
		var first string
		if x.Offset >= 0 && x.Size >= 4 && x.Type == "float32" {
			first = fmt.Sprintf(" last %g", math.Float32frombits(binary.LittleEndian.Uint32(b[x.Offset+x.Size-4:])))
		}
		if x.Offset >= 0 && x.Size >= 8 && x.Type == "float64" {
			first = fmt.Sprintf(" last %g", math.Float64frombits(binary.LittleEndian.Uint64(b[x.Offset+x.Size-8:])))
		}
		got[x.Name] = fmt.Sprintf("%s %v %d%s", x.Type, x.Shape, x.Size, first)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return m, got
}

func TestTensors(t *testing.T) {
	state := map[string]string{
		"a.weight": "float32 [2 3] 24 last 5", "a.bias": "bfloat16 [3] 6", "nested.0.view": "float64 [4] 32 last 7",
		"nested.1": "float64 [10] 80 last 9", "parameter": "float16 [2 2] 8",
	}
	tests := []struct {
		name  string
		model torch.Model
		want  map[string]string
	}{
		{"state.pt", torch.Model{Form: torch.FormZip, Version: "3", Pickle: "archive/data.pkl", Storages: 4, Whole: true}, state},
		{"state4.pt", torch.Model{Form: torch.FormZip, Version: "3", Pickle: "archive/data.pkl", Storages: 4, Whole: true}, state},
		{"legacy.pt", torch.Model{Form: torch.FormLegacy, Storages: 4, Whole: true}, state},
		{"legacy4.pt", torch.Model{Form: torch.FormLegacy, Storages: 4, Whole: true}, state},
		{"script.pt", torch.Model{Form: torch.FormScript, Version: "3", Pickle: "archive/data.pkl", Storages: 2, Whole: true}, nil},
		{"optimizer.pt", torch.Model{Form: torch.FormZip, Version: "3", Pickle: "archive/data.pkl", Storages: 6, Whole: true}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, got := tensors(t, fixture(t, test.name))
			if diff := cmp.Diff(test.model, *m); diff != "" {
				t.Errorf("model (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.want, got); test.want != nil && diff != "" {
				t.Errorf("tensors (-want +got):\n%s", diff)
			}
			if len(got) != test.model.Storages && test.want == nil {
				t.Errorf("%d tensors: %v", len(got), got)
			}
		})
	}
}

// counting is a file that counts what is read of it.
type counting struct {
	r     io.ReaderAt
	reads int
	bytes int64
}

func (c *counting) ReadAt(b []byte, at int64) (int, error) {
	n, err := c.r.ReadAt(b, at)
	c.reads++
	c.bytes += int64(n)
	return n, err
}

// Weights are not read, however many there are.
func TestTensorsReadsHeadersAlone(t *testing.T) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	whole := fixture(t, "state.pt")
	a, err := zipfile.Read(bytes.NewReader(whole), int64(len(whole)))
	if err != nil {
		t.Fatal(err)
	}
	for i := range a.Members {
		m := &a.Members[i]
		f, err := w.CreateHeader(&zip.FileHeader{Name: m.Name, Method: zip.Store})
		if err != nil {
			t.Fatal(err)
		}
		r, err := a.Open(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(f, r); err != nil {
			t.Fatal(err)
		}
	}
	f, err := w.CreateHeader(&zip.FileHeader{Name: "archive/data/9", Method: zip.Store})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(make([]byte, 8<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	c := &counting{r: bytes.NewReader(b.Bytes())}
	n := 0
	if _, err := torch.Tensors(t.Context(), c, int64(b.Len()), false, func(x torch.Tensor) error {
		if n++; x.Offset != -1 || x.Member != "" {
			t.Errorf("%+v", x)
		}
		return nil
	}); err != nil || n != 5 {
		t.Errorf("%d tensors, %v", n, err)
	}
	if c.bytes > 100<<10 || c.reads > 20 {
		t.Errorf("read %d bytes in %d parts", c.bytes, c.reads)
	}
}

// legacy returns the pickles of a legacy file, with the object between them, and what
// follows.
func legacy(object, keys, rest string) []byte {
	return []byte(string(pickle.LegacyMagic) + "\x80\x02M\xe9\x03." + "\x80\x02}." + object + keys + rest)
}

const (
	storageKeys = "\x80\x02]X\x01\x00\x00\x000a."
	// oneTensor is _rebuild_tensor_v2 of a storage of two floats.
	oneTensor = "\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x02NtQK\x00K\x02\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR."
	oneStore  = "\x02\x00\x00\x00\x00\x00\x00\x00abcdefgh"
)

func scanLegacy(t testing.TB, b []byte) (findings, members []string) {
	t.Helper()
	stream := hazard.Content{Size: -1, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
	for i, c := range []hazard.Content{stream, hazard.OfFile("a.pt", bytes.NewReader(b), int64(len(b)))} {
		var again []string
		members = nil
		err := torch.ScanLegacy(t.Context(), c, pickle.Options{}, func(f hazard.Finding) {
			again = append(again, strings.TrimSpace(f.Rule+" "+f.Subject))
		}, func(_ context.Context, m hazard.Content) error {
			members = append(members, m.Name)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 && !slices.Equal(findings, again) {
			t.Errorf("in a stream: %q, in a file: %q", findings, again)
		}
		findings = again
	}
	return findings, members
}

func TestScanLegacy(t *testing.T) {
	whole := legacy(oneTensor, storageKeys, oneStore)
	tests := []struct {
		name              string
		file              []byte
		findings, members []string
	}{
		{"of torch", fixture(t, "legacy.pt"), nil, nil},
		{"of torch, protocol 4", fixture(t, "legacy4.pt"), nil, nil},
		{"one tensor", whole, nil, nil},
		{"a storage alone, as pickle.dump has them", legacy("\x80\x02(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x02NtQ.", storageKeys, oneStore), nil, nil},
		{"no tensor", legacy("\x80\x02}.", "\x80\x02].", ""), nil, nil},
		{"something behind", append(slices.Clone(whole), "\x80\x02N."...), []string{"pickle-trailing-bytes"}, []string{fmt.Sprintf("bytes-at-%d", len(whole))}},
		{"storage is cut", whole[:len(whole)-1], []string{"pickle-trailing-bytes"}, []string{fmt.Sprintf("bytes-at-%d", len(whole)-16)}},
		{"length is cut", whole[:len(whole)-10], []string{"pickle-trailing-bytes"}, []string{fmt.Sprintf("bytes-at-%d", len(whole)-16)}},
		{"storages are missing", legacy(oneTensor, storageKeys, ""), []string{"pickle-trailing-bytes"}, nil},
		{"2^60 elements", legacy(oneTensor, storageKeys, "\x00\x00\x00\x00\x00\x00\x00\x10"), []string{"pickle-trailing-bytes"}, nil},
		{"2^63 elements", legacy(oneTensor, storageKeys, "\x00\x00\x00\x00\x00\x00\x00\x80"), []string{"pickle-trailing-bytes"}, nil},
		{"storage of no tensor", legacy("\x80\x02}.", storageKeys, oneStore), []string{"pickle-trailing-bytes"}, nil},
		{"storages are none", legacy(oneTensor, storageKeys, "no storage"), []string{"pickle-trailing-bytes"}, nil},
		{"one element less", legacy(oneTensor, storageKeys, "\x03\x00\x00\x00\x00\x00\x00\x00abcdefgh"), []string{"pickle-trailing-bytes"}, nil},
		{"storage of an unknown type", legacy(strings.Replace(oneTensor, "FloatStorage", "OtherStorage", 1), storageKeys, oneStore), []string{"pickle-unknown-global torch.OtherStorage", "pickle-persistent-id a tuple", "pickle-trailing-bytes"}, nil},
		{"two keys and one storage", legacy(oneTensor, "\x80\x02](X\x01\x00\x00\x000X\x01\x00\x00\x001e.", oneStore), []string{"pickle-trailing-bytes"}, nil},
		{"keys are numbers", legacy(oneTensor, "\x80\x02]K\x00a.", oneStore), []string{"pickle-trailing-bytes"}, nil},
		{"keys are a dictionary", legacy(oneTensor, "\x80\x02}.", oneStore), []string{"pickle-trailing-bytes"}, nil},
		{"keys are cut", legacy(oneTensor, storageKeys[:8], ""), []string{"pickle-trailing-bytes"}, nil},
		{"object is cut", legacy(oneTensor[:40], "", ""), []string{"pickle-truncated"}, nil},
		{"object has an opcode that is none", legacy("\x80\x02\xff.", storageKeys, oneStore), []string{"pickle-trailing-bytes"}, nil},
		{"another protocol", []byte(strings.Replace(string(whole), "M\xe9\x03.", "M\xea\x03.", 1)), []string{"pickle-trailing-bytes"}, nil},
		{"protocol is a text", []byte(strings.Replace(string(whole), "M\xe9\x03.", "U\x01a.", 1)), []string{"pickle-trailing-bytes"}, nil},
		{"persistent id of four parts", legacy(strings.Replace(oneTensor, "K\x02NtQ", "tQ", 1), storageKeys, oneStore), []string{"pickle-persistent-id a tuple", "pickle-trailing-bytes"}, nil},
		{"persistent id that is a text", legacy("\x80\x02X\x01\x00\x00\x000Q.", storageKeys, oneStore), []string{"pickle-persistent-id a text", "pickle-trailing-bytes"}, nil},
		{"calls in the object", legacy("\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R.", "\x80\x02].", ""), []string{"pickle-dangerous-global os.system"}, nil},
		{"calls in the keys", legacy("\x80\x02}.", "cos\nsystem\n(S'id'\ntR.", ""), []string{"pickle-dangerous-global os.system"}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			findings, members := scanLegacy(t, test.file)
			if diff := cmp.Diff(test.findings, findings); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.members, members); test.members != nil && diff != "" {
				t.Errorf("members (-want +got):\n%s", diff)
			}
		})
	}
}

// zipOf returns an archive of members in their order.
func zipOf(t testing.TB, members ...[2]string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, m := range members {
		f, err := w.CreateHeader(&zip.FileHeader{Name: m[0], Method: zip.Store})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, m[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReadErrors(t *testing.T) {
	whole := zipOf(t, [2]string{"a/data.pkl", "N."}, [2]string{"a/version", "3"})
	end := len(whole) - 22 // of the directory
	patch := func(at int, with string) []byte {
		b := slices.Clone(whole)
		copy(b[at:], with)
		return b
	}
	const elsewhere = "no file of torch: the archive has no data.pkl in the folder of its first member"
	for _, test := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, `no file of torch: it begins with ""`},
		{"one byte", []byte("P"), `no file of torch: it begins with "P"`},
		{"text", []byte("hello"), `no file of torch: it begins with "hell"`},
		{"plain pickle", []byte("\x80\x02N."), `no file of torch: it begins with "\x80\x02N."`},
		{"magic is cut", pickle.LegacyMagic[:10], `no file of torch: it begins with "\x80\x02\x8a\n"`},
		{"magic of another number", []byte("\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x18."), `no file of torch: it begins with "\x80\x02\x8a\n"`},
		{"magic of protocol 6", []byte("\x80\x06\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."), `no file of torch: it begins with "\x80\x06\x8a\n"`},
		{"safetensors", []byte("\x02\x00\x00\x00\x00\x00\x00\x00{}"), `no file of torch: it begins with "\x02\x00\x00\x00"`},
		{"a tar, as torch 0.1 wrote", append(append([]byte("pickle"), make([]byte, 251)...), "ustar\x0000"...), `no file of torch: it begins with "pick"`},
		{"compressed", []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00"), `no file of torch: it begins with "\x1f\x8b\b\x00"`},
		{"another archive", zipOf(t, [2]string{"a.txt", ""}), elsewhere},
		{"empty archive", zipOf(t), elsewhere},
		{"pickle without a folder", zipOf(t, [2]string{"data.pkl", "N."}), elsewhere},
		{"pickle in a folder below", zipOf(t, [2]string{"a/b/data.pkl", "N."}), elsewhere},
		{"pickle in another folder than the first", zipOf(t, [2]string{"a/version", "3"}, [2]string{"b/data.pkl", "N."}), elsewhere},
		{"pickle of another name", zipOf(t, [2]string{"a/data_pkl", "N."}), elsewhere},
		{"mark of an archive alone", []byte("PK\x03\x04"), `byte 0: no end record of a zip archive in the last 4 bytes`},
		{"cut behind the first member", whole[:200], `byte 178: no end record of a zip archive in the last 200 bytes`},
		{"cut in the directory", whole[:len(whole)-30], `byte 195: no end record of a zip archive in the last 217 bytes`},
		{"cut in the end record", whole[:len(whole)-1], `byte 224: no end record of a zip archive in the last 246 bytes`},
		{"directory is behind the file", patch(end+16, "\xff\xff\xff\x7f"), `byte 114: member "a/data.pkl" of 2 bytes at byte -2147483533 does not fit before the directory`},
		{"directory is longer than the file", patch(end+12, "\xff\xff\xff\x7f"), `byte 225: central directory of 2147483647 bytes does not fit before byte 225`},
		{"more members than there are", patch(end+8, "\xff\x00\xff\x00"), `byte 225: 255 members are announced, the directory has 2`},
		{"fewer members than there are", patch(end+8, "\x01\x00\x01\x00"), `byte 225: 1 members are announced, the directory has 2`},
		{"on several disks", patch(end+4, "\x01\x00"), `byte 229: archive is one of several disks`},
		{"no directory where it should be", patch(end+16, "\x00\x00\x00\x00"), `byte 114: member "a/data.pkl" of 2 bytes at byte 114 does not fit before the directory`},
	} {
		m, err := torch.Read(bytes.NewReader(test.file), int64(len(test.file)))
		if err == nil || err.Error() != test.want {
			t.Errorf("%s: got error %v\nwant %s", test.name, err, test.want)
		}
		if m != nil {
			t.Errorf("%s: a model came with the error", test.name)
		}
		_, breach := errors.AsType[*zipfile.Error](err)
		if breach == errors.Is(err, torch.ErrUnknown) {
			t.Errorf("%s: %v is not one of the two kinds of errors", test.name, err)
		}
	}
}

// torch looks for members by miniz, which takes ASCII letters of both cases for one.
func TestReadOfOtherCase(t *testing.T) {
	for want, names := range map[string][]string{
		"a/DATA.PKL": {"a/version", "a/DATA.PKL", "a/DATA/0"},
		"A/data.pkl": {"a/version", "A/data.pkl", "a/Data/0"},
		"a/data.pkl": {"a/DATA.pkl", "a/data.pkl", "a/Data.pkl", "A/constants/0"},
	} {
		var members [][2]string
		for _, name := range names {
			members = append(members, [2]string{name, "N."})
		}
		file := zipOf(t, members...)
		m, err := torch.Read(bytes.NewReader(file), int64(len(file)))
		if err != nil || m.Pickle != want || m.Storages != 1 {
			t.Errorf("%q: %+v, %v", names, m, err)
		}
	}
}

// Broken pickles have no tensors, or some, and say that those are not all.
func TestTensorsOfBrokenPickles(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "cut": oneTensor[:40], "no pickle": "hello", "an opcode that is none": "\x80\x02\xff", "nothing on the stack": ".",
		"call of nothing": "R.", "a computed class": "\x80\x02" + strings.Replace(oneTensor[2:], "FloatStorage", "UnknownStorage", 1),
		"another persistent id": "\x80\x02X\x01\x00\x00\x00aQ.", "negative shape": strings.Replace(oneTensor, "K\x02\x85K\x01", "J\xff\xff\xff\xff\x85K\x01", 1),
		"a key of a number": strings.Replace(oneTensor, "X\x01\x00\x00\x000", "K\x00", 1),
	} {
		b := zipOf(t, [2]string{"a/data.pkl", text}, [2]string{"a/version", "3\n"})
		m, err := torch.Tensors(t.Context(), bytes.NewReader(b), int64(len(b)), true, func(x torch.Tensor) error {
			if x.Offset != -1 && name != "negative shape" {
				t.Errorf("%s: %+v", name, x)
			}
			return nil
		})
		if err != nil || m.Version != "3" {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
		readable := slices.Contains([]string{"another persistent id", "negative shape", "a key of a number", "a computed class"}, name)
		if m.Whole != readable {
			t.Errorf("%s: whole is %v", name, m.Whole)
		}
	}
}

func TestTensorsMemory(t *testing.T) {
	// 20,000 tensors in one dictionary, and a literal of 20 MiB.
	var many strings.Builder
	many.WriteString("\x80\x02}(")
	for i := range 20_000 {
		fmt.Fprintf(&many, "X\x05\x00\x00\x00%05d%s", i, oneTensor[2:len(oneTensor)-1])
	}
	many.WriteString("u.")
	long := "\x80\x02X" + string(binary.LittleEndian.AppendUint32(nil, 20<<20)) + strings.Repeat("x", 20<<20) + "."
	for name, text := range map[string]string{"many tensors": many.String(), "a long text": long} {
		b := zipOf(t, [2]string{"a/data.pkl", text})
		before, peak, n := heap(), uint64(0), 0
		_, err := torch.Tensors(t.Context(), bytes.NewReader(b), int64(len(b)), true, func(torch.Tensor) error {
			if n++; n == 1 {
				peak = heap()
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := int64(peak) - int64(before); got > 32<<20 {
			t.Errorf("%s: %d bytes are held", name, got)
		}
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func FuzzTensors(f *testing.F) {
	names, err := filepath.Glob("testdata/*.pt")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		f.Add(fixture(f, filepath.Base(name)))
	}
	f.Add(legacy(oneTensor, storageKeys, oneStore))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := torch.Tensors(t.Context(), bytes.NewReader(b), int64(len(b)), true, func(torch.Tensor) error { return nil })
		_, breach := errors.AsType[*zipfile.Error](err)
		if err != nil && !breach && !errors.Is(err, torch.ErrUnknown) && !errors.Is(err, zipfile.ErrMethod) && !errors.Is(err, hazard.ErrBroken) {
			t.Fatal(err)
		}
		ignore := func(context.Context, hazard.Content) error { return nil }
		if err := torch.ScanLegacy(t.Context(), hazard.OfFile("a.pt", bytes.NewReader(b), int64(len(b))), pickle.Options{}, func(hazard.Finding) {}, ignore); err != nil {
			t.Fatal(err)
		}
	})
}
