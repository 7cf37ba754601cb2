//go:build unix

package partial

import (
	"bytes"
	"io/fs"
	"os"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/internal/filerow"
)

// A kernel tells once that it could not write what it had, and then takes the
// bytes in memory for those on disk: the next sync succeeds.
func TestWhatTheDiskDidNotTake(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	raw := bytes.Repeat([]byte("weights "), 1<<17)
	desc := ocispec.Descriptor{MediaType: "application/x-test", Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	f, err := Open(t.Context(), root, "blob.part", desc, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(raw[:1<<19], 0); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	a := f.area
	a.mu.Lock()
	data := a.data
	a.data = &filerow.Row{} // a sync of which fails
	a.data.Add(w, 0)
	a.keeper.dirty = syncEvery
	a.mu.Unlock()
	a.keeper.sync(a)
	a.mu.Lock()
	a.data = data
	a.mu.Unlock()
	if _, err := f.WriteAt(raw[1<<19:], 1<<19); err == nil {
		t.Error("more is written to a disk that does not take it")
	}
	if w, err := f.Finish(t.Context(), "blob"); err == nil {
		t.Errorf("it is whole: %+v", w)
	}
	if err := f.Suspend(); err != nil {
		t.Error(err)
	}
	if entries, err := fs.ReadDir(root.FS(), "."); err != nil || len(entries) != 0 {
		t.Errorf("kept for the next process: %v, %v", entries, err)
	}
}
