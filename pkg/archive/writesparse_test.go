//go:build unix

package archive_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/archive"
	"github.com/modseal/modseal/pkg/partial"
)

// Runs of zeros take no room, in one file, in parts, and after an interruption.
func TestSparseBlob(t *testing.T) {
	const size = 256 << 20
	h := digest.SHA256.Hash()
	if _, err := io.CopyN(h, zeros{}, size); err != nil {
		t.Fatal(err)
	}
	d := ocispec.Descriptor{MediaType: layerType, Digest: digest.NewDigest(digest.SHA256, h), Size: size}
	g := newGoods()
	g.model(t, "registry.example.com/team/llama", "v1", randomBytes(1, 1<<20))
	stop := false
	g.in.Blobs = append(g.in.Blobs, archive.InputBlob{Descriptor: d, Name: "zeros", Bring: func(_ context.Context, to *partial.File, _ func(int64)) error {
		for _, s := range to.Missing() {
			end := s.End
			if stop {
				end = size / 2
			}
			if _, err := to.WriteFrom(io.LimitReader(zeros{}, end-s.Start), s.Start); err != nil {
				return err
			}
		}
		if stop {
			return errLine
		}
		return nil
	}})
	for _, part := range []int64{0, 100 << 20} {
		file, o := filepath.Join(t.TempDir(), "a.tar"), archive.WriteOptions{PartSize: part}
		stop = true
		if _, err := archive.Write(t.Context(), g.plan(t), file, o); err == nil {
			t.Fatal("it was not interrupted")
		}
		stop = false
		w := write(t, g.plan(t), file, o)
		if w.Resumed < size/2 {
			t.Errorf("%d bytes were kept", w.Resumed)
		}
		var blocks int64
		for _, n := range names(t, filepath.Dir(file)) {
			info, err := os.Stat(filepath.Join(filepath.Dir(file), n))
			if err != nil {
				t.Fatal(err)
			}
			blocks += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		if w.Size < size || blocks > 3<<20 {
			t.Errorf("an archive of %d bytes takes %d of disk", w.Size, blocks)
		}
	}
}
