package store_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/store"
)

// fileBlob is a blob whose bytes are a file, as packing gives it.
func fileBlob(name string, size int64) ingest.Blob {
	return ingest.Blob{Name: name, MediaType: "x/y", Size: size, Open: func() (io.ReadCloser, error) { return os.Open(name) }}
}

func randomFile(t testing.TB, size int) (string, []byte) {
	t.Helper()
	raw := make([]byte, size)
	_, _ = rand.Read(raw)
	name := filepath.Join(t.TempDir(), "weights")
	if err := os.WriteFile(name, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	return name, raw
}

// A file large enough to be copied by the kernel ends in the layout as any other.
func TestIngestAFile(t *testing.T) {
	for _, size := range []int{0, 1, 1 << 20, 20<<20 + 3} {
		l := mustCreate(t, t.TempDir())
		name, raw := randomFile(t, size)
		desc, err := l.Ingest(t.Context(), fileBlob(name, int64(size)))
		if err != nil || desc.Digest != digest.FromBytes(raw) || desc.Size != int64(size) || desc.MediaType != "x/y" {
			t.Fatalf("%d bytes: %+v, %v", size, desc, err)
		}
		got, err := os.ReadFile(filepath.Join(l.Path(), "blobs/sha256", desc.Digest.Encoded()))
		if err != nil || !bytes.Equal(got, raw) {
			t.Errorf("%d bytes: the blob is another: %v", size, err)
		}
		// No hard link: an edit of the model leaves the layout alone.
		if err := os.WriteFile(name, make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(l.Path(), "blobs/sha256", desc.Digest.Encoded())); err != nil || !bytes.Equal(got, raw) {
			t.Errorf("%d bytes: the blob changed with its source: %v", size, err)
		}
		noTemps(t, l)
	}
}

func TestIngestAFileOfAnotherSize(t *testing.T) {
	const size = 3 << 20
	l := mustCreate(t, t.TempDir())
	name, _ := randomFile(t, size)
	for _, announced := range []int64{size - 1, size + 1, size + 9<<20} {
		_, err := l.Ingest(t.Context(), fileBlob(name, announced))
		var changed *ingest.SizeError
		if !errors.As(err, &changed) || changed.Name != name || changed.Want != announced || changed.Got != size {
			t.Errorf("announced %d: %v", announced, err)
		}
	}
	noTemps(t, l)
}

// The name of a blob is the digest of what is in it, also when the source is
// written to all the time that it is copied.
func TestIngestWhileTheSourceChanges(t *testing.T) {
	const size = 24 << 20
	l := mustCreate(t, t.TempDir())
	name, _ := randomFile(t, size)
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := byte(0); ; i++ {
			for off := int64(0); off < size; off += 64 << 10 {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := f.WriteAt(bytes.Repeat([]byte{i}, 512), off); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	for range 5 {
		desc, err := l.Ingest(t.Context(), fileBlob(name, size))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(filepath.Join(l.Path(), "blobs/sha256", desc.Digest.Encoded()))
		if err != nil || digest.FromBytes(raw) != desc.Digest {
			t.Errorf("the blob %s holds %s: %v", desc.Digest, digest.FromBytes(raw), err)
		}
	}
	close(stop)
	<-stopped
}

func BenchmarkIngest(b *testing.B) {
	const size = 512 << 20
	for place, dir := range map[string]string{"disk": b.TempDir(), "tmpfs": "/dev/shm"} {
		dir, err := os.MkdirTemp(dir, "ingest-") //nolint:usetesting // on the file system that is asked for
		if err != nil {
			b.Skip(err)
		}
		b.Cleanup(func() { _ = os.RemoveAll(dir) })
		name := filepath.Join(dir, "weights")
		raw := make([]byte, size)
		_, _ = rand.Read(raw)
		if err := os.WriteFile(name, raw, 0o644); err != nil {
			b.Fatal(err)
		}
		plain := fileBlob(name, size)
		plain.Open = func() (io.ReadCloser, error) {
			f, err := os.Open(name)
			return struct{ io.ReadCloser }{f}, err
		}
		for how, blob := range map[string]ingest.Blob{"file": fileBlob(name, size), "stream": plain} {
			b.Run(place+"/"+how, func(b *testing.B) {
				b.SetBytes(size)
				for b.Loop() {
					l, err := store.Create(filepath.Join(dir, "layout"))
					if err != nil {
						b.Fatal(err)
					}
					if _, err := l.Ingest(b.Context(), blob); err != nil {
						b.Fatal(err)
					}
					_ = l.Close()
					_ = os.RemoveAll(l.Path())
				}
			})
		}
	}
}
