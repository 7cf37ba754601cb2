package readahead_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/modseal/modseal/pkg/internal/readahead"
)

// counted counts reads and their bytes.
type counted struct {
	r     io.ReaderAt
	reads int
	bytes int
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	c.reads++
	c.bytes += len(p)
	return c.r.ReadAt(p, off)
}

func content(n int) []byte {
	b := make([]byte, n)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func TestReadsAreThoseOfTheSource(t *testing.T) {
	for _, size := range []int{1, readahead.Page - 1, readahead.Page, 3*readahead.Page + 7, 2 << 20} {
		data := content(size)
		// So few pages that most are dropped and read again.
		r := readahead.NewCache(3*readahead.Page).Reader("x", bytes.NewReader(data), int64(size))
		rng := rand.New(rand.NewPCG(3, uint64(size)))
		for range 300 {
			off, n := rng.IntN(size+10), rng.IntN(2*size/3+20)
			got, want := make([]byte, n), make([]byte, n)
			gotN, gotErr := r.ReadAt(got, int64(off))
			wantN, wantErr := bytes.NewReader(data).ReadAt(want, int64(off))
			if gotN != wantN || !errors.Is(gotErr, wantErr) || !bytes.Equal(got[:gotN], want[:wantN]) {
				t.Fatalf("size %d: %d at %d: %d, %v; want %d, %v", size, n, off, gotN, gotErr, wantN, wantErr)
			}
		}
	}
}

func TestFewReads(t *testing.T) {
	const size = 10 << 20
	data := content(size)
	for name, c := range map[string]struct {
		read         func(r io.ReaderAt)
		reads, bytes int // at most
	}{
		"eight bytes and a header": {func(r io.ReaderAt) {
			_, _ = r.ReadAt(make([]byte, 8), 0)
			_, _ = r.ReadAt(make([]byte, 20_000), 8)
		}, 2, 20_008 + readahead.Page},
		"one byte after the other": {func(r io.ReaderAt) {
			for i := range int64(1 << 20) {
				_, _ = r.ReadAt(make([]byte, 1), i)
			}
		}, 13, 5 << 18},
		"far apart": {func(r io.ReaderAt) {
			for i := range int64(10) {
				_, _ = r.ReadAt(make([]byte, 30), i<<20)
			}
		}, 10, 10 * readahead.Page},
		"twice the same": {func(r io.ReaderAt) {
			for range 2 {
				_, _ = r.ReadAt(make([]byte, 100_000), 5)
			}
		}, 1, 100_000 + readahead.Page},
		"much at once": {func(r io.ReaderAt) { _, _ = r.ReadAt(make([]byte, 9<<20), 1) }, 1, 9 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			src := &counted{r: bytes.NewReader(data)}
			c.read(readahead.NewCache(8<<20).Reader("x", src, size))
			if src.reads > c.reads || src.bytes > c.bytes {
				t.Errorf("%d reads of %d bytes, want at most %d and %d", src.reads, src.bytes, c.reads, c.bytes)
			}
		})
	}
}

func TestReadersShare(t *testing.T) {
	src := &counted{r: bytes.NewReader(content(readahead.Page))}
	cache := readahead.NewCache(1 << 20)
	for range 3 {
		if _, err := cache.Reader("same", src, readahead.Page).ReadAt(make([]byte, 10), 7); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := cache.Reader("other", src, readahead.Page).ReadAt(make([]byte, 10), 7); err != nil || src.reads != 2 {
		t.Errorf("%d reads, %v", src.reads, err)
	}
}

// What could not be read is no content, now or later.
func TestErrorsAreNotKept(t *testing.T) {
	src := &broken{r: bytes.NewReader(content(readahead.Page))}
	r := readahead.NewCache(1<<20).Reader("x", src, readahead.Page)
	if _, err := r.ReadAt(make([]byte, 10), 0); !errors.Is(err, errBroken) {
		t.Fatal(err)
	}
	src.mended = true
	if n, err := r.ReadAt(make([]byte, 10), 0); n != 10 || err != nil {
		t.Fatal(n, err)
	}
	short := readahead.NewCache(1<<20).Reader("y", bytes.NewReader(content(100)), 200)
	if _, err := short.ReadAt(make([]byte, 10), 0); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a source that is shorter than announced: %v", err)
	}
}

var errBroken = errors.New("broken")

type broken struct {
	r      io.ReaderAt
	mended bool
}

func (b *broken) ReadAt(p []byte, off int64) (int, error) {
	if !b.mended {
		return 0, errBroken
	}
	return b.r.ReadAt(p, off)
}

func TestConcurrentReaders(t *testing.T) {
	data := content(1 << 20)
	cache := readahead.NewCache(64 << 10)
	r := cache.Reader("x", bytes.NewReader(data), int64(len(data)))
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			rng := rand.New(rand.NewPCG(5, uint64(i)))
			for range 200 {
				off := rng.IntN(len(data) - 9000)
				p := make([]byte, 9000)
				if _, err := r.ReadAt(p, int64(off)); err != nil || !bytes.Equal(p, data[off:off+9000]) {
					t.Errorf("at %d: %v", off, err)
					return
				}
			}
		})
	}
	group.Wait()
}
