package clone_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/modseal/modseal/pkg/internal/clone"
)

// random returns n bytes that are no zeros by chance.
func random(t testing.TB, n int) []byte {
	t.Helper()
	raw := make([]byte, n)
	if _, err := rand.Read(raw); err != nil {
		t.Fatal(err)
	}
	return raw
}

func open(t testing.TB, name string, flag int) *os.File {
	t.Helper()
	f, err := os.OpenFile(name, flag, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func source(t testing.TB, dir string, pieces ...[]byte) *os.File {
	t.Helper()
	name := filepath.Join(dir, "source")
	if err := os.WriteFile(name, bytes.Join(pieces, nil), 0o644); err != nil {
		t.Fatal(err)
	}
	return open(t, name, os.O_RDONLY)
}

func destination(t testing.TB, dir string) *os.File {
	t.Helper()
	return open(t, filepath.Join(dir, "destination"), os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

// copied runs a copy of size bytes and checks what every copy must do: what is
// reported can be read at that moment, never goes down and ends with size.
func copied(t *testing.T, dst, src *os.File, want []byte) clone.Result {
	t.Helper()
	var last int64
	res, err := clone.File(t.Context(), dst, src, int64(len(want)), func(off int64) {
		if off < last {
			t.Errorf("%d after %d", off, last)
		}
		got := make([]byte, off-last)
		if _, err := dst.ReadAt(got, last); err != nil || !bytes.Equal(got, want[last:off]) {
			t.Errorf("%d to %d were reported and are not there: %v", last, off, err)
		}
		last = off
	})
	if err != nil {
		t.Fatal(err)
	}
	if last != int64(len(want)) || res.Bytes != last {
		t.Errorf("reported %d, returned %d of %d", last, res.Bytes, len(want))
	}
	got, err := os.ReadFile(dst.Name())
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("the destination has %d bytes that are not the %d of the source: %v", len(got), len(want), err)
	}
	return res
}

func TestFile(t *testing.T) {
	const mib = 1 << 20
	data, zeros := random(t, 20*mib+1), make([]byte, 3*mib)
	for name, dir := range fileSystems(t) {
		for what, pieces := range map[string][][]byte{
			"nothing":         nil,
			"one byte":        {data[:1]},
			"a step":          {data[:8*mib]},
			"steps and a bit": {data},
			"zeros":           {zeros},
			"zeros within":    {data[:mib+7], zeros, data[:5], zeros},
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				dir := subdir(t, dir)
				res := copied(t, destination(t, dir), source(t, dir, pieces...), bytes.Join(pieces, nil))
				t.Logf("%s: %d bytes", res.Method, res.Bytes)
			})
		}
	}
}

func subdir(t *testing.T, dir string) string {
	t.Helper()
	sub, err := os.MkdirTemp(dir, "clone-") //nolint:usetesting // on the file system that is asked for
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(sub) })
	return sub
}

// The announced size is what is copied of a file that has grown since.
func TestNoMoreThanTheSize(t *testing.T) {
	for name, dir := range fileSystems(t) {
		t.Run(name, func(t *testing.T) {
			dir, data := subdir(t, dir), random(t, 100<<10)
			copied(t, destination(t, dir), source(t, dir, data), data[:70_001])
		})
	}
}

func TestAFileThatShrankFails(t *testing.T) {
	for name, dir := range fileSystems(t) {
		for what, pieces := range map[string][][]byte{
			"data": {random(t, 100<<10)},
			"none": nil,
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				dir := subdir(t, dir)
				src := source(t, dir, pieces...)
				res, err := clone.File(t.Context(), destination(t, dir), src, 200<<10, nil)
				if !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%+v, %v", res, err)
				}
				if want := int64(len(bytes.Join(pieces, nil))); res.Bytes != want {
					t.Errorf("%d good bytes, not %d", res.Bytes, want)
				}
			})
		}
	}
}

func TestADestinationThatHoldsSomethingIsRefused(t *testing.T) {
	dir := t.TempDir()
	src, dst := source(t, dir, []byte("new")), destination(t, dir)
	if _, err := dst.WriteString("old"); err != nil {
		t.Fatal(err)
	}
	if _, err := clone.File(t.Context(), dst, src, 3, nil); !errors.Is(err, clone.ErrNotEmpty) {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(dst.Name()); err != nil || string(got) != "old" {
		t.Errorf("it now holds %q, %v", got, err)
	}
}

func TestWhatCannotBeWrittenFails(t *testing.T) {
	dir := t.TempDir()
	src, dst := source(t, dir, []byte("bytes")), destination(t, dir)
	reading := open(t, dst.Name(), os.O_RDONLY)
	if res, err := clone.File(t.Context(), reading, src, 5, nil); err == nil {
		t.Errorf("%+v", res)
	}
}

// A copy stops within a step of being told to, with the reason that it was told.
func TestCancel(t *testing.T) {
	dir := t.TempDir()
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	src := source(t, dir, random(t, 32<<20))
	res, err := clone.File(ctx, destination(t, dir), src, 32<<20, func(int64) { cancel(why) })
	if res.Method == clone.Reflink {
		t.Skip("the temporary directory shares blocks: there is nothing to stop")
	}
	if !errors.Is(err, why) || res.Bytes == 0 || res.Bytes > 8<<20 {
		t.Errorf("%+v, %v", res, err)
	}
	other := open(t, filepath.Join(dir, "other"), os.O_RDWR|os.O_CREATE)
	if res, err := clone.File(ctx, other, src, 32<<20, nil); !errors.Is(err, why) || res.Bytes != 0 {
		t.Errorf("told before it began: %+v, %v", res, err)
	}
}

func BenchmarkFile(b *testing.B) {
	for _, dir := range []string{b.TempDir(), "/dev/shm"} {
		b.Run(dir, func(b *testing.B) {
			dir, err := os.MkdirTemp(dir, "clone-") //nolint:usetesting // on the file system that is asked for
			if err != nil {
				b.Skip(err)
			}
			defer func() { _ = os.RemoveAll(dir) }()
			src := source(b, dir, random(b, 256<<20))
			b.SetBytes(256 << 20)
			for b.Loop() {
				dst := destination(b, dir)
				if _, err := clone.File(b.Context(), dst, src, 256<<20, nil); err != nil {
					b.Fatal(err)
				}
				_ = os.Remove(dst.Name())
			}
		})
	}
}
