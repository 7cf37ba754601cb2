package filerow_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/modseal/modseal/pkg/internal/filerow"
)

func newRow(t *testing.T, sizes ...int64) *filerow.Row {
	t.Helper()
	r := &filerow.Row{}
	dir := t.TempDir()
	for i, size := range sizes {
		f, err := os.Create(filepath.Join(dir, strconv.Itoa(i)))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		r.Add(f, size)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// Whatever pieces are written and read, they are the bytes of one file.
func TestFilesAreOne(t *testing.T) {
	const size = 3*100_000 + 7
	r := newRow(t, 100_000, 100_000, 1, 0, 99_999, 7)
	if r.Size() != size {
		t.Fatalf("%d bytes", r.Size())
	}
	want := make([]byte, size)
	for range 200 {
		at := rand.IntN(size)
		n := rand.IntN(size - at + 1)
		if n > 0 && rand.IntN(4) > 0 {
			n = min(n, 1000)
		}
		b := make([]byte, n)
		if rand.IntN(3) > 0 {
			for i := range b {
				b[i] = byte(rand.Uint32())
			}
		}
		copy(want[at:], b)
		if _, err := r.WriteAt(b, int64(at)); err != nil {
			t.Fatal(err)
		}
		at = rand.IntN(size)
		got := make([]byte, rand.IntN(size-at+1))
		if _, err := r.ReadAt(got, int64(at)); err != nil || !bytes.Equal(got, want[at:at+len(got)]) {
			t.Fatalf("%d bytes at %d are others (%v)", len(got), at, err)
		}
	}
}

func TestBeyondTheEnd(t *testing.T) {
	r := newRow(t, 10, 10)
	b := make([]byte, 15)
	if n, err := r.ReadAt(b, 10); n != 10 || !errors.Is(err, io.EOF) {
		t.Errorf("read %d bytes: %v", n, err)
	}
	if _, err := r.WriteAt(b, 10); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("wrote: %v", err)
	}
	// A part that somebody made shorter.
	if err := r.First().Truncate(4); err != nil {
		t.Fatal(err)
	}
	if n, err := r.ReadAt(b, 0); n != 4 || !errors.Is(err, io.EOF) {
		t.Errorf("read %d bytes: %v", n, err)
	}
}
