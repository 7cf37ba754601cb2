package compressed_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/modseal/modseal/pkg/modelfile/compressed"
	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/sniff"
)

// text is what the fixtures hold.
func text() string {
	var b strings.Builder
	for i := range 300 {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	return b.String()
}

func fixture(t testing.TB, name string) []byte {
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// written returns what a writer of Go makes of a text.
func written[W io.WriteCloser](t testing.TB, text string, open func(io.Writer) W) []byte {
	var b bytes.Buffer
	w := open(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func lz4Of(t testing.TB, text string) []byte {
	return written(t, text, func(w io.Writer) io.WriteCloser { return lz4.NewWriter(w) })
}

func zstdOf(t testing.TB, text string, options ...zstd.EOption) []byte {
	return written(t, text, func(w io.Writer) io.WriteCloser {
		z, err := zstd.NewWriter(w, options...)
		if err != nil {
			t.Fatal(err)
		}
		return z
	})
}

func gzipOf(t testing.TB, text string) []byte {
	return written(t, text, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })
}

func zlibOf(t testing.TB, text string) []byte {
	return written(t, text, func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) })
}

// read sniffs and reads b.
func read(b []byte) (string, error) {
	r, err := compressed.NewReader(sniff.Of(b[:min(len(b), sniff.Size)]), bytes.NewReader(b))
	if err != nil {
		return "", err
	}
	defer r.Close()
	out, err := io.ReadAll(r)
	return string(out), err
}

func TestNewReader(t *testing.T) {
	files := map[string][]byte{"lz4": lz4Of(t, text()), "zstd": zstdOf(t, text())}
	for _, name := range []string{"text.gz", "text.z", "text.bz2", "text.xz", "text.lzma", "text.zf"} {
		files[name] = fixture(t, name)
	}
	// What follows a stream of these is another one.
	for _, name := range []string{"text.gz", "text.bz2", "text.xz", "lz4", "zstd"} {
		files[name+" twice"] = slices.Concat(files[name], files[name])
	}
	for name, b := range files {
		want := text()
		if strings.HasSuffix(name, " twice") {
			want += want
		}
		got, err := read(b)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

// What joblib writes is known by its content and holds a pickle.
func TestNewReaderJoblib(t *testing.T) {
	names, err := filepath.Glob("testdata/joblib-*")
	if err != nil || len(names) != 5 {
		t.Fatalf("%q, %v", names, err)
	}
	for _, name := range names {
		got, err := read(fixture(t, filepath.Base(name)))
		if err != nil || !strings.HasPrefix(got, "\x80\x04\x95") || !strings.Contains(got, "NumpyArrayWrapper") {
			t.Errorf("%s: %.20q, %v", name, got, err)
		}
	}
}

func TestNewReaderErrors(t *testing.T) {
	change := func(b []byte, at int) []byte {
		b = slices.Clone(b)
		if at < 0 {
			at += len(b)
		}
		b[at] ^= 0x55
		return b
	}
	gz, z, bz2, xz, lzma, zf := fixture(t, "text.gz"), fixture(t, "text.z"), fixture(t, "text.bz2"), fixture(t, "text.xz"), fixture(t, "text.lzma"), fixture(t, "text.zf")
	l4, zs := lz4Of(t, text()), zstdOf(t, text())
	tests := []struct {
		name string
		kind sniff.Kind
		file []byte
		want error
	}{
		{"gzip, empty", sniff.Gzip, nil, compressed.ErrCorrupt},
		{"gzip, another method", sniff.Gzip, change(gz, 2), compressed.ErrCorrupt},
		{"gzip, damaged", sniff.Gzip, change(gz, 40), compressed.ErrCorrupt},
		{"gzip, wrong checksum", sniff.Gzip, change(gz, -8), compressed.ErrCorrupt},
		{"gzip, wrong length", sniff.Gzip, change(gz, -1), compressed.ErrCorrupt},
		{"gzip, cut", sniff.Gzip, gz[:len(gz)-20], compressed.ErrCorrupt},
		{"gzip, followed by text", sniff.Gzip, append(slices.Clone(gz), "text"...), compressed.ErrCorrupt},
		{"zlib, wrong header", sniff.Zlib, change(z, 0), compressed.ErrCorrupt},
		{"zlib, wrong checksum", sniff.Zlib, change(z, -1), compressed.ErrCorrupt},
		{"zlib, cut", sniff.Zlib, z[:len(z)/2], compressed.ErrCorrupt},
		{"joblib of old, cut", sniff.JoblibZ, zf[:10], compressed.ErrCorrupt},
		{"joblib of old, damaged", sniff.JoblibZ, change(zf, 22), compressed.ErrCorrupt},
		{"bzip2, another level", sniff.Bzip2, change(bz2, 3), compressed.ErrCorrupt},
		{"bzip2, wrong checksum", sniff.Bzip2, change(bz2, 12), compressed.ErrCorrupt},
		{"bzip2, cut", sniff.Bzip2, bz2[:len(bz2)-10], compressed.ErrCorrupt},
		{"xz, wrong header", sniff.XZ, change(xz, 8), compressed.ErrCorrupt},
		{"xz, damaged", sniff.XZ, change(xz, 60), compressed.ErrCorrupt},
		{"xz, cut", sniff.XZ, xz[:100], compressed.ErrCorrupt},
		{"xz, dictionary of 64 MiB", sniff.XZ, fixture(t, "preset9.xz"), compressed.ErrWindow},
		{"lzma, wrong properties", sniff.LZMA, change(lzma, 0), compressed.ErrCorrupt},
		{"lzma, cut", sniff.LZMA, lzma[:100], compressed.ErrCorrupt},
		{"lzma, dictionary of 64 MiB", sniff.LZMA, fixture(t, "preset9.lzma"), compressed.ErrWindow},
		{"lz4, wrong header", sniff.LZ4, change(l4, 4), compressed.ErrCorrupt},
		{"lz4, damaged", sniff.LZ4, change(l4, -2), compressed.ErrCorrupt},
		{"lz4, cut", sniff.LZ4, l4[:len(l4)/2], compressed.ErrCorrupt},
		{"zstd, damaged", sniff.Zstd, change(zs, 20), compressed.ErrCorrupt},
		{"zstd, cut", sniff.Zstd, zs[:len(zs)-5], compressed.ErrCorrupt},
		{"zstd, window of 64 MiB", sniff.Zstd, zstdOf(t, strings.Repeat("0123456789", 1<<20), zstd.WithWindowSize(64<<20)), compressed.ErrWindow},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, err := compressed.NewReader(test.kind, bytes.NewReader(test.file))
			if err == nil {
				_, err = io.Copy(io.Discard, r)
				r.Close()
			}
			if !errors.Is(err, test.want) || !errors.Is(err, hazard.ErrBroken) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// A failure to read is not the fault of the file.
func TestNewReaderPassesErrorsOn(t *testing.T) {
	failure := errors.New("the cable was pulled")
	for name, b := range map[string][]byte{"gzip": fixture(t, "text.gz"), "xz": fixture(t, "text.xz"), "bzip2": fixture(t, "text.bz2"), "lzma": fixture(t, "text.lzma"), "zstd": zstdOf(t, text()), "lz4": lz4Of(t, text())} {
		r, err := compressed.NewReader(sniff.Of(b), io.MultiReader(bytes.NewReader(b[:len(b)/2]), errReader{failure}))
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if !errors.Is(err, failure) || errors.Is(err, hazard.ErrBroken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// zeros is a text without end.
type zeros struct{ left int64 }

func (z *zeros) Read(b []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(b)), z.left)
	clear(b[:n])
	z.left -= n
	return int(n), nil
}

func TestNewReaderExpansion(t *testing.T) {
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(w, &zeros{2 << 30}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := compressed.NewReader(sniff.Zstd, &b)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n, err := io.Copy(io.Discard, r)
	if !errors.Is(err, compressed.ErrExpansion) || n > 1<<30+64<<20 {
		t.Errorf("%d bytes came out, %v", n, err)
	}
}

func TestScan(t *testing.T) {
	for _, test := range []struct {
		name, kind string
		file       []byte
		member     string
		findings   []string
	}{
		{"model.pkl.gz", "gzip", fixture(t, "text.gz"), "model.pkl", nil},
		{"dir/model.TGZ", "gzip", fixture(t, "text.gz"), "model.tar", nil},
		{"model.joblib", "zlib", fixture(t, "text.z"), "model.joblib", nil},
		{".gz", "gzip", fixture(t, "text.gz"), ".gz", nil},
		{"a.xz", "xz", fixture(t, "preset9.xz"), "a", []string{"archive-memory"}},
		{"a.bz2", "bzip2", fixture(t, "text.bz2")[:200], "a", []string{"archive-malformed"}},
	} {
		var findings []string
		visited := false
		c := hazard.OfFile(test.name, bytes.NewReader(test.file), int64(len(test.file)))
		err := compressed.Scan(t.Context(), sniff.Kind(test.kind), c, func(f hazard.Finding) { findings = append(findings, f.Rule) },
			func(_ context.Context, m hazard.Content) error {
				visited = true
				if m.Name != test.member || m.Depth != 1 || m.Size != -1 || m.At != nil {
					t.Errorf("%s: %+v", test.name, m)
				}
				for range 2 { // it can be read again
					r, err := m.Open()
					if err != nil {
						return err
					}
					defer r.Close()
					got, err := io.ReadAll(r)
					if err != nil {
						return err
					}
					if string(got) != text() {
						t.Errorf("%s: %.20q", test.name, got)
					}
				}
				return nil
			})
		if diff := cmp.Diff(test.findings, findings); err != nil || diff != "" || !visited {
			t.Errorf("%s: %v\n%s", test.name, err, diff)
		}
	}
}

// Each stream needs the most memory that is allowed, or says that it needs more.
func TestNewReaderMemory(t *testing.T) {
	big := strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyz", 1<<20)
	for name, b := range map[string][]byte{
		"xz, 64 MiB":         fixture(t, "preset9.xz"),
		"lzma, 64 MiB":       fixture(t, "preset9.lzma"),
		"lzma, 4 GiB":        append([]byte("\x5d\xff\xff\xff\xff"), bytes.Repeat([]byte{0xff}, 30)...),
		"zstd, 16 MiB":       zstdOf(t, big, zstd.WithWindowSize(16<<20)),
		"zstd, 512 MiB":      zstdOf(t, big, zstd.WithWindowSize(512<<20)),
		"zstd, single piece": append([]byte("\x28\xb5\x2f\xfd\xe0"), bytes.Repeat([]byte{0x7f}, 30)...),
		"lz4, 4 MiB blocks":  lz4Of(t, big),
	} {
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if r, err := compressed.NewReader(sniff.Of(b), bytes.NewReader(b)); err == nil {
			_, _ = io.Copy(io.Discard, r)
			r.Close()
		}
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 32<<20 {
			t.Errorf("%s: allocated %d bytes", name, got)
		}
	}
}

func FuzzNewReader(f *testing.F) {
	names, err := filepath.Glob("testdata/*.*")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		f.Add(fixture(f, filepath.Base(name)))
	}
	f.Add(lz4Of(f, text()))
	f.Add(zstdOf(f, text()))
	f.Add(gzipOf(f, text()))
	f.Add(zlibOf(f, text()))
	f.Fuzz(func(t *testing.T, b []byte) {
		kind := sniff.Of(b[:min(len(b), sniff.Size)])
		if !kind.Compressed() {
			return
		}
		r, err := compressed.NewReader(kind, bytes.NewReader(b))
		if err == nil {
			_, err = io.CopyN(io.Discard, r, 8<<20)
			r.Close()
		}
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, hazard.ErrBroken) {
			t.Fatal(err)
		}
	})
}
