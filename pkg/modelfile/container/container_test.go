package container_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/modelfile/container"
	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/sniff"
)

func fixture(t testing.TB, name string) []byte {
	b, err := os.ReadFile(filepath.Join("..", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func zipOf(t testing.TB, members ...[2]string) []byte {
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

func gzipOf(t testing.TB, text []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// walker goes into containers as the scanner does.
type walker struct {
	t        testing.TB
	path     []string
	findings []string
	leaves   []string
}

func (w *walker) visit(ctx context.Context, c hazard.Content) error {
	prefix, err := head(c)
	if err != nil {
		return err
	}
	w.path = append(w.path, c.Name)
	defer func() { w.path = w.path[:len(w.path)-1] }()
	handled, err := container.Scan(ctx, sniff.Of(prefix), c, func(f hazard.Finding) {
		if hazard.RuleOf(f.Rule).ID == "" {
			w.t.Errorf("no rule %q", f.Rule)
		}
		w.findings = append(w.findings, f.Rule+" in "+strings.Join(w.path, "!"))
	}, w.visit)
	if !handled {
		w.leaves = append(w.leaves, strings.TrimSpace(fmt.Sprintf("%s %s %s", strings.Join(w.path, "!"), sniff.Of(prefix), c.Hint)))
	}
	return err
}

func head(c hazard.Content) ([]byte, error) {
	r, err := c.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b := make([]byte, sniff.Size)
	n, err := io.ReadFull(r, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return b[:n], err
}

func TestScan(t *testing.T) {
	inner := zipOf(t, [2]string{"evil.pkl", "\x80\x02cos\nsystem\n."})
	nested := inner
	for i := range 4 {
		nested = zipOf(t, [2]string{fmt.Sprintf("%d.zip", i), string(nested)})
	}
	tests := []struct {
		name             string
		file             []byte
		findings, leaves []string
	}{
		{"state of torch", fixture(t, "torch/testdata/state.pt"), nil, []string{
			"f!archive/data.pkl pickle torch", "f!archive/data/0", "f!archive/data/1", "f!archive/data/2", "f!archive/data/3", "f!archive/version",
		}},
		{"TorchScript", fixture(t, "torch/testdata/script.pt"), []string{"torch-script-code in f"}, []string{
			"f!archive/data/0", "f!archive/data/1", "f!archive/data.pkl pickle torch", "f!archive/code/__torch__.py  torchscript",
			"f!archive/code/__torch__.py.debug_pkl pickle torch", "f!archive/code/__torch__/torch/nn/modules/linear.py  torchscript",
			"f!archive/code/__torch__/torch/nn/modules/linear.py.debug_pkl pickle torch", "f!archive/constants.pkl pickle torch", "f!archive/version",
		}},
		{"npz", fixture(t, "numpy/testdata/stored.npz"), nil, nil},
		{"objects in an npz", zipOf(t, [2]string{"a.npy", string(fixture(t, "numpy/testdata/objects.npy"))}), []string{"numpy-object-array in f!a.npy"}, []string{"f!a.npy!objects.pkl pickle numpy"}},
		{"Keras", fixture(t, "keras/testdata/deflated.keras"), nil, []string{"f!metadata.json  keras", "f!config.json  keras"}},
		{"Keras, HDF5", fixture(t, "keras/testdata/model.h5"), nil, []string{
			"f!model_weights/dense/bytes", "f!model_config  keras", "f!keras_version", "f!backend", "f!fixed",
		}},
		{"compressed by joblib", fixture(t, "compressed/testdata/joblib-xz.pkl"), nil, []string{"f!f pickle"}},
		{"zip in a zip, renamed", zipOf(t, [2]string{"readme.txt", string(inner)}), nil, []string{"f!readme.txt!evil.pkl pickle"}},
		{"zip in gzip", gzipOf(t, inner), nil, []string{"f!f!evil.pkl pickle"}},
		{"zip in gzip in a zip", zipOf(t, [2]string{"a.gz", string(gzipOf(t, inner))}), nil, []string{"f!a.gz!a!evil.pkl pickle"}},
		{"zips in zips", nested, []string{"archive-nesting in f!3.zip!2.zip!1.zip"}, nil},
		{"7z", []byte("7z\xbc\xaf\x27\x1c\x00\x04"), []string{"archive-unsupported in f"}, nil},
		{"rar", []byte("Rar!\x1a\x07\x01\x00"), []string{"archive-unsupported in f"}, nil},
		{"7z in gzip", gzipOf(t, []byte("7z\xbc\xaf\x27\x1c\x00\x04")), []string{"archive-unsupported in f!f"}, nil},
		{"cut gzip", gzipOf(t, inner)[:40], []string{"archive-malformed in f"}, nil},
		{"cut gzip in a zip", zipOf(t, [2]string{"a.gz", string(gzipOf(t, inner)[:40])}), []string{"archive-malformed in f!a.gz"}, nil},
		{"no container", []byte("text"), nil, []string{"f"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := &walker{t: t}
			if err := w.visit(t.Context(), hazard.OfFile("f", bytes.NewReader(test.file), int64(len(test.file)))); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.findings, w.findings); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.leaves, w.leaves); diff != "" {
				t.Errorf("leaves (-want +got):\n%s", diff)
			}
		})
	}
}

// An array or an HDF5 file in a stream that breaks is reported once, by the stream, and
// the walk goes on.
func TestScanBrokenStreams(t *testing.T) {
	for name, inner := range map[string][]byte{
		"numpy": fixture(t, "numpy/testdata/structured.npy"), "hdf5": fixture(t, "keras/testdata/model.h5"), "tar": append(bytes.Repeat([]byte("a"), 257), "ustar\x0000"+strings.Repeat("b", 600)...),
		"zip": zipOf(t, [2]string{"a", "text"}),
	} {
		packed := gzipOf(t, inner)
		file := zipOf(t, [2]string{"first.gz", string(packed[:len(packed)-9])}, [2]string{"second", "text"})
		w := &walker{t: t}
		if err := w.visit(t.Context(), hazard.OfFile("f", bytes.NewReader(file), int64(len(file)))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(w.findings) == 0 || len(w.leaves) == 0 || w.leaves[len(w.leaves)-1] != "f!second" {
			t.Errorf("%s: %q, %q", name, w.findings, w.leaves)
		}
	}
}

func TestScanStopsWhenToldTo(t *testing.T) {
	stop := errors.New("stop")
	for _, name := range []string{"torch/testdata/state.pt", "numpy/testdata/objects.npy", "keras/testdata/model.h5", "compressed/testdata/text.gz"} {
		b := fixture(t, name)
		_, err := container.Scan(t.Context(), sniff.Of(b), hazard.OfFile("f", bytes.NewReader(b), int64(len(b))), func(hazard.Finding) {},
			func(context.Context, hazard.Content) error { return stop })
		if !errors.Is(err, stop) {
			t.Errorf("%s: %v", name, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = container.Scan(ctx, sniff.Of(b), hazard.OfFile("f", bytes.NewReader(b), int64(len(b))), func(hazard.Finding) {},
			func(ctx context.Context, _ hazard.Content) error { return ctx.Err() })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
