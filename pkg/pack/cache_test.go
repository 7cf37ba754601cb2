//go:build unix

package pack_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/digestcache"
	"github.com/modseal/modseal/pkg/fileid"
	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/pack"
	"github.com/modseal/modseal/pkg/source"
)

// holder holds what it got once, as a registry does.
type holder struct {
	mu   sync.Mutex
	has  map[digest.Digest]bool
	read []string
}

func (h *holder) Ingest(ctx context.Context, b ingest.Blob) (ocispec.Descriptor, error) {
	h.mu.Lock()
	known := b.Known != "" && h.has[b.Known]
	h.mu.Unlock()
	if known {
		return ocispec.Descriptor{MediaType: b.MediaType, Digest: b.Known, Size: b.Size}, nil
	}
	desc, err := ingest.Digests{}.Ingest(ctx, b)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.read, h.has[desc.Digest] = append(h.read, b.Name), true
	return desc, err
}

func settle() {
	time.Sleep(2 * fileid.ClockTick)
}

func TestUntouchedFilesAreNotRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		write(fmt.Sprintf("small-%02d.json", i), fmt.Sprintf(`{"n":%d}`, i))
	}
	write("big.bin", string(make([]byte, 2<<20)))
	settle()
	cache := digestcache.Open("")
	h := &holder{has: map[digest.Digest]bool{}}
	run := func(o pack.Options) *pack.Artifact {
		t.Helper()
		h.read = nil
		tree, err := source.Walk(t.Context(), dir, source.Options{})
		if err != nil {
			t.Fatal(err)
		}
		o.GroupAbove = 10
		a, err := pack.Pack(t.Context(), tree, h, o)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	first := run(pack.Options{Digests: cache})
	if len(h.read) != 2 || first.Unread != 0 {
		t.Fatalf("read %v, unread %d", h.read, first.Unread)
	}
	again := run(pack.Options{Digests: cache})
	if len(h.read) != 0 || again.Unread < 2<<20 {
		t.Errorf("read %v, unread %d", h.read, again.Unread)
	}
	if again.Descriptor.Digest != first.Descriptor.Digest {
		t.Error("another manifest")
	}
	for i, f := range first.Files {
		if again.Files[i] != f {
			t.Errorf("%+v, then %+v", f, again.Files[i])
		}
	}
	// Another time in the headers of the tar is another tar.
	created := time.Unix(1_700_000_000, 0)
	if run(pack.Options{Digests: cache, Created: &created}); len(h.read) != 1 {
		t.Errorf("with another time: read %v", h.read)
	}
	// Without the cache all is read.
	if run(pack.Options{}); len(h.read) != 2 {
		t.Errorf("without a cache: read %v", h.read)
	}

	// One byte of one member: the tar is another one, and with the time set back
	// as well.
	name := filepath.Join(dir, "small-07.json")
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	write("small-07.json", `{"n":8}`)
	if err := os.Chtimes(name, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	settle()
	changed := run(pack.Options{Digests: cache})
	if len(h.read) != 1 || changed.Descriptor.Digest == first.Descriptor.Digest {
		t.Errorf("changed: read %v", h.read)
	}
	plain := run(pack.Options{})
	if plain.Descriptor.Digest != changed.Descriptor.Digest {
		t.Error("the cache makes another artifact than reading does")
	}
}

// A file that was touched only just now may be touched again without showing
// it: nothing is remembered of it.
func TestFilesThatMayChangeUnseenAreRead(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "w.bin")
	cache := digestcache.Open("")
	h := &holder{has: map[digest.Digest]bool{}}
	for range 5 {
		if err := os.WriteFile(name, []byte("weights"), 0o600); err != nil {
			t.Fatal(err)
		}
		h.read = nil
		tree, err := source.Walk(t.Context(), dir, source.Options{})
		if err != nil {
			t.Fatal(err)
		}
		id, _ := tree.Files[0].Identity()
		if _, err := pack.Pack(t.Context(), tree, h, pack.Options{Digests: cache}); err != nil {
			t.Fatal(err)
		}
		if time.Since(time.Unix(0, id.CtimeNs)) > fileid.ClockTick {
			continue // the machine was too slow for this to be about anything
		}
		if len(h.read) != 1 || cache.Digest(id.String()) != "" {
			t.Errorf("read %v, remembered %q", h.read, cache.Digest(id.String()))
		}
	}
}
