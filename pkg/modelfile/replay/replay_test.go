package replay_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/replay"
)

// data are 5 MiB that differ at every place.
func data() []byte {
	b := make([]byte, 5<<20)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(b)
	return b
}

// stream is content of unknown size, and counts how often it is opened.
func stream(b []byte, opened *int) hazard.Content {
	return hazard.Content{Size: -1, Open: func() (io.ReadCloser, error) {
		*opened++
		return io.NopCloser(iotest.HalfReader(bytes.NewReader(b))), nil
	}}
}

func TestAt(t *testing.T) {
	b := data()
	opened := 0
	r, size, err := replay.At(stream(b, &opened))
	if err != nil || size != int64(len(b)) {
		t.Fatalf("%d bytes, %v", size, err)
	}
	defer r.Close()
	for _, at := range []struct{ off, n int64 }{
		{size - 100, 100}, {0, 10}, {5, 10}, {1 << 20, 3 << 20}, {3 << 20, 1 << 20}, {4<<20 - 7, 14}, {0, size}, {size - 1, 1},
	} {
		got := make([]byte, at.n)
		if n, err := r.ReadAt(got, at.off); err != nil || n != len(got) {
			t.Fatalf("%d bytes at %d: %d, %v", at.n, at.off, n, err)
		}
		if !bytes.Equal(got, b[at.off:at.off+at.n]) {
			t.Errorf("%d bytes at %d are others", at.n, at.off)
		}
	}
	// The last bytes are in the window after the size was measured; the beginning is
	// read anew once for the second place, once for the last but two.
	if opened != 3 {
		t.Errorf("opened %d times", opened)
	}
	for off, want := range map[int64]int{size - 3: 3, size: 0, size + 10: 0} {
		if n, err := r.ReadAt(make([]byte, 10), off); n != want || !errors.Is(err, io.EOF) {
			t.Errorf("at %d: %d, %v", off, n, err)
		}
	}
	if _, err := r.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("a negative offset is read")
	}
}

func TestAtPassesFilesOn(t *testing.T) {
	file := bytes.NewReader([]byte("text"))
	c := hazard.OfFile("a", file, 4)
	c.Open = func() (io.ReadCloser, error) { t.Error("opened"); return nil, io.ErrUnexpectedEOF }
	r, size, err := replay.At(c)
	if err != nil || size != 4 {
		t.Fatal(size, err)
	}
	b := make([]byte, 2)
	if _, err := r.ReadAt(b, 1); err != nil || string(b) != "ex" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestAtBoundsRewinds(t *testing.T) {
	b, opened := data(), 0
	c := stream(b, &opened)
	c.Size = int64(len(b))
	r, _, err := replay.At(c)
	if err != nil || opened != 0 {
		t.Fatalf("opened %d times, %v", opened, err)
	}
	one := make([]byte, 1)
	for range 1_000 {
		if _, err = r.ReadAt(one, c.Size-1); err == nil {
			_, err = r.ReadAt(one, 0)
		}
		if err != nil {
			break
		}
	}
	if !errors.Is(err, replay.ErrRewinds) || !errors.Is(err, hazard.ErrBroken) || opened > replay.MaxRewinds+1 {
		t.Errorf("opened %d times, %v", opened, err)
	}
}

func TestAtPassesErrorsOn(t *testing.T) {
	failure := errors.New("the cable was pulled")
	c := hazard.Content{Size: -1, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(make([]byte, 100)), iotest.ErrReader(failure))), nil
	}}
	if _, _, err := replay.At(c); !errors.Is(err, failure) {
		t.Errorf("while measuring: %v", err)
	}
	c.Size = 200
	r, _, err := replay.At(c)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := r.ReadAt(make([]byte, 150), 50); n != 50 || !errors.Is(err, failure) {
		t.Errorf("%d, %v", n, err)
	}
	c.Size = replay.MaxSize + 1
	if _, _, err := replay.At(c); !errors.Is(err, replay.ErrSize) {
		t.Errorf("of a large stream: %v", err)
	}
}

func TestAtMemory(t *testing.T) {
	b, opened := make([]byte, 64<<20), 0
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, size, err := replay.At(stream(b, &opened))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadAt(make([]byte, 1), size/2); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 2<<20 {
		t.Errorf("allocated %d bytes", got)
	}
}
