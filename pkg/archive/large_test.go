package archive

import (
	"archive/tar"
	"errors"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// virtual is an archive as it is planned: zeros in the place of blobs.
type virtual struct{ t *tape }

func (v virtual) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	for _, f := range v.t.fixed {
		if from, to := max(off, f.at), min(off+int64(len(p)), f.at+int64(len(f.raw))); from < to {
			copy(p[from-off:], f.raw[from-f.at:to-f.at])
		}
	}
	if left := v.t.size - off; left < int64(len(p)) {
		return int(left), io.EOF
	}
	return len(p), nil
}

func (v virtual) Size() int64 { return v.t.size }

// Entries of 8 GiB and more, where the field of a plain header is full, and names of
// sha512 blobs, which are longer than a header has room for, are read by others; and
// nothing lies where it should not.
func TestLargeEntries(t *testing.T) {
	const gib = 1 << 30
	var tp tape
	var want []ocispec.Descriptor
	for i, size := range []int64{0, 1, 511, 512, 513, 8*gib - 1, 8 * gib, 8*gib + 1, 1 << 40} {
		for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
			d := ocispec.Descriptor{MediaType: "application/octet-stream", Digest: algorithm.FromString(string(rune('a' + i))), Size: size}
			want = append(want, d)
			if err := tp.blob(ReaderBlob(d, "", nil)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := tp.file("index.json", []byte("{}\n")); err != nil {
		t.Fatal(err)
	}
	tp.end()
	section := io.NewSectionReader(virtual{&tp}, 0, tp.size)
	r := tar.NewReader(section)
	for i, d := range want {
		h, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		at, err := section.Seek(0, io.SeekCurrent)
		if err != nil {
			t.Fatal(err)
		}
		if h.Name != blobEntry(d.Digest) || h.Size != d.Size || at != tp.blobs[i].at || at%tarBlock != 0 {
			t.Errorf("%s has %d bytes at %d, want %+v", h.Name, h.Size, at, tp.blobs[i])
		}
	}
	if h, err := r.Next(); err != nil || h.Name != "index.json" {
		t.Errorf("%+v, %v", h, err)
	}
	if h, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("%+v, %v", h, err)
	}
	p, err := planCopy(t.Context(), virtual{&tp})
	if err != nil {
		t.Fatal(err)
	}
	if p.tape.size != tp.size || p.tape.key(0) != tp.key(0) || len(p.tape.blobs) != len(tp.blobs) {
		t.Error("a copy is laid out otherwise")
	}
}
