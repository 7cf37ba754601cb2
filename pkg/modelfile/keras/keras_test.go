package keras_test

import (
	"archive/zip"
	"bytes"
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
	"github.com/modseal/modseal/pkg/modelfile/hdf5"
	"github.com/modseal/modseal/pkg/modelfile/keras"
	"github.com/modseal/modseal/pkg/modelfile/zipfile"
)

func fixture(t testing.TB, name string) []byte {
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func read(t testing.TB, b []byte) (*keras.Model, error) {
	return keras.Read(t.Context(), bytes.NewReader(b), int64(len(b)))
}

func tensors(t testing.TB, b []byte) ([]string, error) {
	var got []string
	err := keras.Tensors(t.Context(), bytes.NewReader(b), int64(len(b)), func(hazard.Finding) {}, func(x keras.Tensor) error {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %v %d %d %s", x.Name, x.Type, x.Shape, x.Offset, x.Size, x.Member)))
		return nil
	})
	return got, err
}

func TestRead(t *testing.T) {
	archive := keras.Model{Form: keras.FormArchive, Class: "Sequential", Name: "sequential", Version: "3.3.3", Layers: 2}
	for name, want := range map[string]keras.Model{
		"model.keras":    archive,
		"deflated.keras": archive,
		"model.h5":       {Form: keras.FormHDF5, Class: "Sequential", Name: "sequential", Version: "2.11.0", Backend: "tensorflow", Layers: 2},
	} {
		m, err := read(t, fixture(t, name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, *m); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestTensors(t *testing.T) {
	whole := fixture(t, "model.keras")
	got, err := tensors(t, whole)
	if err != nil || len(got) != 2 {
		t.Fatalf("%q, %v", got, err)
	}
	for _, line := range got { // the data are ones
		var offset, size int64
		name, rest, _ := strings.Cut(line, "] ")
		if _, err := fmt.Sscan(rest, &offset, &size); err != nil {
			t.Fatal(err)
		}
		if want := bytes.Repeat([]byte("\x00\x00\x80\x3f"), int(size)/4); !bytes.Equal(whole[offset:offset+size], want) {
			t.Errorf("%s: other data at %d", name, offset)
		}
	}
	got, err = tensors(t, fixture(t, "deflated.keras"))
	want := []string{
		"layers/dense/vars/0 float32 [2 3] -1 24 model.weights.h5",
		"layers/dense/vars/1 float32 [3] -1 12 model.weights.h5",
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	got, err = tensors(t, fixture(t, "model.h5"))
	if err != nil || len(got) != 5 || !strings.HasPrefix(got[0], "model_weights/dense/") {
		t.Errorf("%q, %v", got, err)
	}
}

// archive returns a zip file of members in their order.
func archive(t testing.TB, members ...[2]string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, m := range members {
		f, err := w.Create(m[0])
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

func TestErrors(t *testing.T) {
	config, metadata := [2]string{"config.json", "{}"}, [2]string{"metadata.json", "{}"}
	h5 := fixture(t, "model.h5")
	with := func(old, other string) []byte {
		if !bytes.Contains(h5, []byte(old)) {
			t.Fatalf("no %q", old)
		}
		return bytes.Replace(h5, []byte(old), []byte(other), 1)
	}
	weights := func(text string) []byte {
		return archive(t, config, [2]string{"model.weights.h5", text})
	}
	tests := []struct {
		name      string
		file      []byte
		read      string // what the error of Read says; none when it is empty
		ofTensors string
	}{
		{"empty", nil, "no superblock", "no superblock"},
		{"text", []byte("text"), "no superblock", "no superblock"},
		{"begins as an archive", []byte("PK and nothing more"), "no end record", "no end record"},
		{"archive is cut", fixture(t, "model.keras")[:1000], "no end record", "no end record"},
		{"another archive", archive(t, metadata), "has no config.json", "has no config.json"},
		{"configuration alone", archive(t, config), "has no config.json with", "has no config.json with"},
		{"configuration in a folder", archive(t, metadata, [2]string{"a/config.json", "{}"}), "has no config.json", "has no config.json"},
		{"configuration is empty", archive(t, metadata, [2]string{"config.json", ""}), "configuration: unexpected end", ""},
		{"configuration is no JSON", archive(t, metadata, [2]string{"config.json", "class"}), "configuration: invalid character", ""},
		{"configuration is a list", archive(t, metadata, [2]string{"config.json", "[]"}), "configuration: json: cannot unmarshal array", ""},
		{"class is a number", archive(t, metadata, [2]string{"config.json", `{"class_name":1}`}), "cannot unmarshal number", ""},
		{"layers are a number", archive(t, metadata, [2]string{"config.json", `{"config":{"layers":1}}`}), "layers", ""},
		{"configuration is cut", archive(t, metadata, [2]string{"config.json", `{"config":{"layers":[`}), "configuration: unexpected end", ""},
		{"configuration is too large", archive(t, metadata, [2]string{"config.json", strings.Repeat(" ", keras.MaxConfigSize+1)}), "config.json is larger than", ""},
		{"metadata are no JSON", archive(t, config, [2]string{"metadata.json", "version"}), "metadata: invalid character", ""},
		{"version is a number", archive(t, config, [2]string{"metadata.json", `{"keras_version":3}`}), "metadata: json", ""},
		{"weights are empty", weights(""), "", `"model.weights.h5": byte 0: no superblock`},
		{"weights are text", weights(strings.Repeat("text", 1000)), "", `"model.weights.h5": byte 0: no superblock`},
		{"weights of an unknown version", weights(hdf5.Signature + "\x09"), "", "superblock of version 9 is not known"},
		{"attribute is no JSON", with(`{"class_name"`, `["class_name"`), "configuration: invalid character", ""},
		{"attribute is cut", with(`"Lambda"`, "\"La\x00\x00\x00\x00\x00"), "configuration: invalid character", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := read(t, test.file)
			if got := fmt.Sprint(err); (test.read == "") != (err == nil) || err != nil && !strings.Contains(got, test.read) {
				t.Errorf("Read: %v, want %q", err, test.read)
			}
			_, err = tensors(t, test.file)
			if got := fmt.Sprint(err); (test.ofTensors == "") != (err == nil) || err != nil && !strings.Contains(got, test.ofTensors) {
				t.Errorf("Tensors: %v, want %q", err, test.ofTensors)
			}
		})
	}
}

// Weights without a configuration are a file of Keras too.
func TestReadWeightsAlone(t *testing.T) {
	b := bytes.Replace(fixture(t, "model.h5"), []byte("model_config"), []byte("model_canfig"), 1)
	m, err := read(t, b)
	if err != nil || m.Class != "" || m.Version != "2.11.0" {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestReadMemory(t *testing.T) {
	layer := `{"class_name":"Dense"},`
	many := `{"config":{"layers":[` + strings.Repeat(layer, keras.MaxConfigSize/len(layer)-2) + `{}]}}`
	for name, text := range map[string]string{
		"many layers":  many,
		"blanks":       strings.Repeat(" ", keras.MaxConfigSize),
		"many numbers": `{"config":{"layers":[` + strings.Repeat("1,", keras.MaxConfigSize/2-20) + `1]}}`,
	} {
		b := archive(t, [2]string{"config.json", text}, [2]string{"metadata.json", "{}"})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = read(t, b)
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 32<<20 {
			t.Errorf("%s: allocated %d bytes", name, got)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, name := range []string{"model.keras", "deflated.keras", "model.h5"} {
		f.Add(fixture(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := read(t, b)
		_, other := tensors(t, b)
		if (err == nil) && errors.Is(other, keras.ErrUnknown) {
			t.Errorf("Tensors: %v", other)
		}
		_, isZip := errors.AsType[*zipfile.Error](other)
		_, isHDF5 := errors.AsType[*hdf5.Error](other)
		if other != nil && !isZip && !isHDF5 && !errors.Is(other, keras.ErrUnknown) && !errors.Is(other, hazard.ErrBroken) && !errors.Is(other, zipfile.ErrMethod) && !errors.Is(other, io.ErrUnexpectedEOF) {
			t.Fatal(other)
		}
	})
}
