package archive

import (
	"io"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// counted counts what is read of an archive.
type counted struct {
	io.ReaderAt
	reads int
	bytes int64
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	c.reads++
	c.bytes += int64(len(p))
	return c.ReaderAt.ReadAt(p, off)
}

// A blob of terabytes costs a header, and small ones share a read.
func TestScanReadsNoBlobs(t *testing.T) {
	var tp tape
	for i, size := range []int64{1 << 40, 8 << 30, 9 << 30, 700 << 20} {
		if err := tp.blob(ReaderBlob(ocispec.Descriptor{Digest: digest.FromBytes([]byte{byte(i)}), Size: size}, "", nil)); err != nil {
			t.Fatal(err)
		}
	}
	tp.end()
	c := &counted{ReaderAt: virtual{&tp}}
	x, err := scan(t.Context(), c, tp.size)
	if err != nil || x.blobs.len() != 4 {
		t.Fatalf("%+v, %v", x, err)
	}
	if c.bytes > 3*readAhead {
		t.Errorf("%d bytes in %d reads", c.bytes, c.reads)
	}
	for i, size := range []int64{1 << 40, 8 << 30, 9 << 30, 700 << 20} {
		if at, ok := x.blobs.get(digest.FromBytes([]byte{byte(i)})); !ok || at.size != size || at.offset != tp.blobs[i].at {
			t.Errorf("%d: %+v", i, at)
		}
	}

	tp = tape{}
	for i := range 1000 {
		if err := tp.blob(ReaderBlob(ocispec.Descriptor{Digest: digest.FromBytes([]byte{byte(i), byte(i >> 8)}), Size: 2}, "", nil)); err != nil {
			t.Fatal(err)
		}
	}
	tp.end()
	c = &counted{ReaderAt: virtual{&tp}}
	if _, err := scan(t.Context(), c, tp.size); err != nil || c.reads > 20 {
		t.Errorf("%d reads, %v", c.reads, err)
	}
}

// endless is a tar of entries without an end: a counter names each.
type endless struct{}

func (endless) ReadAt(p []byte, off int64) (int, error) {
	plain := emptyBlob(0)
	for i := 0; i < len(p); i += block {
		copy(p[i:], plain)
		// The sum of a header grows with its digits.
		sum := plainSum
		for n, at := (off+int64(i))/block, i+76; n > 0; n, at = n/10, at-1 {
			p[at] += byte(n % 10)
			sum += int(n % 10)
		}
		for j, shift := range []int{15, 12, 9, 6, 3, 0} {
			p[i+148+j] = '0' + byte(sum>>shift&7)
		}
	}
	return len(p), nil
}

// plainSum is the sum in the header of the first blob.
var plainSum = func() int {
	n, _ := octal(emptyBlob(0)[148:156])
	return int(n)
}()

// emptyBlob is the header of the nth blob, of no bytes.
func emptyBlob(n int64) []byte {
	h := make([]byte, block)
	name := []byte("blobs/sha256/0000000000000000000000000000000000000000000000000000000000000000")
	for i := len(name) - 1; n > 0; i, n = i-1, n/10 {
		name[i] = '0' + byte(n%10)
	}
	copy(h, name)
	copy(h[124:], "00000000000\x00")
	h[156] = typeRegular
	copy(h[257:], "ustar\x0000")
	setSum(h)
	return h
}

// setSum makes the sum of a header right.
func setSum(h []byte) {
	copy(h[148:156], "        ")
	sum := 0
	for _, c := range h[:block] {
		sum += int(c)
	}
	for i, shift := range []int{15, 12, 9, 6, 3, 0} {
		h[148+i] = '0' + byte(sum>>shift&7)
	}
	h[154], h[155] = 0, ' '
}
