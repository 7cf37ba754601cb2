//go:build !race

// What is measured here is as large as the bounds allow, and one goroutine does it: the
// race detector takes minutes and can find nothing.

package archive

import (
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/store"
)

// heap returns the bytes that are in use after what is garbage was removed.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// full is a tar of as many empty blobs as an archive may have entries.
type full struct{}

func (full) ReadAt(p []byte, off int64) (int, error) {
	n, err := endless{}.ReadAt(p, off)
	if from := limits.ArchiveEntries*block - off; from < int64(len(p)) {
		clear(p[max(from, 0):])
	}
	return n, err
}

// As many entries as an archive may have are held in 64 MiB.
func TestMemoryOfManyEntries(t *testing.T) {
	before := heap()
	x, err := scan(t.Context(), full{}, limits.ArchiveEntries*block+2*block)
	if err != nil || x.blobs.len() != limits.ArchiveEntries {
		t.Fatalf("%d, %v", x.blobs.len(), err)
	}
	used := heap() - before
	if t.Logf("%d blobs take %d bytes", x.blobs.len(), used); used > 64<<20 {
		t.Error("too much")
	}
	runtime.KeepAlive(x)
}

// noBlobs has none.
type noBlobs struct{}

func (noBlobs) Size(digest.Digest) (int64, error)         { return 0, io.ErrUnexpectedEOF }
func (noBlobs) Open(digest.Digest) (io.ReadCloser, error) { return nil, io.ErrUnexpectedEOF }

// The largest index that is read is held in three times its bytes, and one whose
// entries are as small as they can be is refused before it grows.
func TestMemoryOfALargeIndex(t *testing.T) {
	entry := ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifacttypes.ArtifactTypeModel, Digest: digest.FromString("x"), Size: 1000,
		Annotations: map[string]string{ocispec.AnnotationRefName: strings.Repeat("v", 200)},
	}
	one, err := artifacttypes.Marshal(entry)
	if err != nil {
		t.Fatal(err)
	}
	list := strings.TrimSuffix(strings.Repeat(string(one)+",", min(limits.LayoutIndexBytes/(len(one)+1), limits.LayoutManifests)-1), ",")
	raw := []byte(`{"schemaVersion":2,"manifests":[` + list + `]}`)
	before := heap()
	v, err := store.NewView("x", raw, noBlobs{})
	if err != nil {
		t.Fatal(err)
	}
	used := heap() - before
	if t.Logf("an index of %d bytes takes %d", len(raw), used); used > 3*uint64(len(raw)) {
		t.Error("too much")
	}
	runtime.KeepAlive(v)

	raw = []byte(`{"schemaVersion":2,"manifests":[` + strings.Repeat("{},", limits.LayoutIndexBytes/3-20) + `{}]}`)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	total := m.TotalAlloc
	if _, err := store.NewView("x", raw, noBlobs{}); err == nil || !strings.Contains(err.Error(), "more than 100000 entries") {
		t.Errorf("%v", err)
	}
	runtime.ReadMemStats(&m)
	if m.TotalAlloc-total > 2*limits.LayoutIndexBytes {
		t.Errorf("%d bytes were allocated to refuse %d", m.TotalAlloc-total, len(raw))
	}
}

// A million entries are refused when the bound is passed.
func TestScanOfAMillionEntries(t *testing.T) {
	c := &counted{ReaderAt: endless{}}
	x, err := scan(t.Context(), c, 1_000_000*block)
	var e *Error
	if x != nil || !errors.As(err, &e) || e.Offset != limits.ArchiveEntries*block || e.Damaged {
		t.Fatalf("%+v, %v", x, err)
	}
	if c.bytes > limits.ArchiveEntries*block+2*readAhead {
		t.Errorf("%d bytes were read", c.bytes)
	}
}
